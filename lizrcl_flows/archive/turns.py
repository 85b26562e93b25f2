"""Turns: which generation of a campaign is being submitted, has been submitted or is closed.

Coordination, not knowledge: these records change, and nothing in them is part of the scientific record. Leases use the
database's clock, so that hosts whose clocks disagree cannot both hold one.
"""

from typing import Any

from pymongo.errors import DuplicateKeyError

from lizrcl_flows.archive.connection import Connection, Content
from lizrcl_flows.errors import InputError, NotFoundError

STATES = ("submitting", "submitted", "closed")
"""In this order only: a late message never takes a turn back."""


class Turns:
    """Turns of one archive."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.collection = connection["turns"]

    def open(self, turn_id: str, campaign_id: str, turn: int | str) -> bool:
        """Create a turn in state `submitting`; return whether it is new."""
        content: Content = {"campaign_id": campaign_id, "turn": turn, "state": STATES[0], "holder": None, "info": {}}
        try:
            result = self.collection.update_one({"_id": turn_id}, {"$setOnInsert": content}, upsert=True)
        except DuplicateKeyError:  # two upserts of one id at once: the other one made it
            return False
        return result.upserted_id is not None

    def lease(self, turn_id: str, holder: str, seconds: float) -> bool:
        """Claim a turn for some time; return whether it is ours.

        Only a turn in state `submitting` can be claimed, and only when nobody else's claim still runs.
        """
        free = {"$or": [{"$lte": ["$leased_until", "$$NOW"]}, {"$eq": ["$holder", holder]}]}
        until = {"$dateAdd": {"startDate": "$$NOW", "unit": "millisecond", "amount": int(seconds * 1000)}}
        found = self.collection.find_one_and_update(
            {"_id": turn_id, "state": STATES[0], "$expr": free},
            [{"$set": {"holder": holder, "leased_until": until}}],
        )
        return found is not None

    def mark(self, turn_id: str, state: str, info: Content) -> None:
        """Move a turn forward and note what is known about it.

        Raises
        ------
        InputError, NotFoundError
            If the state is unknown; if there is no such turn.
        """
        if state not in STATES:
            raise InputError(f"a turn cannot be '{state}'; its states are {', '.join(STATES)}")
        notes = {f"info.{key}": value for key, value in info.items()}
        earlier = list(STATES[: STATES.index(state) + 1])
        moved = self.collection.update_one(
            {"_id": turn_id, "state": {"$in": earlier}}, {"$set": {"state": state, **notes}}
        )
        if moved.matched_count:
            return
        if self.get(turn_id) is None:
            raise NotFoundError(f"no turn '{turn_id}' in the archive")
        if notes:
            self.collection.update_one({"_id": turn_id}, {"$set": notes})

    def reopen(self, turn_id: str) -> bool:
        """Take a turn whose workflow was lost with the queue back to `submitting`; return whether that was done."""
        change = {"$set": {"state": STATES[0], "holder": None}, "$unset": {"leased_until": "", "info.fw_ids": ""}}
        return bool(self.collection.update_one({"_id": turn_id, "state": STATES[1]}, change).modified_count)

    def get(self, turn_id: str) -> dict[str, Any] | None:
        """Return a turn as a mapping (campaign_id, turn, state, holder, leased_until, info), or None."""
        return self.collection.find_one({"_id": turn_id})

    def of(self, campaign_id: str) -> list[dict[str, Any]]:
        """Return the turns of a campaign: generations by index, then production."""
        found = self.collection.find({"campaign_id": campaign_id})
        return sorted(found, key=lambda turn: (isinstance(turn["turn"], str), turn["turn"]))
