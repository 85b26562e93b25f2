"""The transport coefficients of a campaign, in the order in which they follow from each other."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lizrcl_flows.archive import Archive
    from lizrcl_flows.documents import Campaign, Transport

MAIN_PROTOCOL = "gls_blocks"
KINDS = ("diffusion", "arrhenius", "conductivity")
"""In the order in which they follow from each other."""


def campaign_transports(archive: "Archive", campaign: "Campaign") -> "list[Transport]":
    """Return the coefficients of a campaign: those of our estimator first, then those of the study's protocol.

    Laws of Arrhenius and conductivities come after the diffusion coefficients that they were made from.
    """
    from lizrcl_flows.documents import Trajectory

    runs = archive.find_records(Trajectory, {"campaign": campaign.name, "purpose": "production"}, fields=["_id"])
    return transports_of(archive, [record["_id"] for record in runs])


def transports_of(archive: "Archive", trajectories: "Sequence[str]") -> "list[Transport]":
    """Return what was measured in any of these runs, in the order of `campaign_transports`."""
    from lizrcl_flows.documents import Transport

    found = archive.find(Transport, {"trajectories": {"$in": list(trajectories)}})
    return sorted(
        found,
        key=lambda entry: (KINDS.index(entry.kind), entry.protocol != MAIN_PROTOCOL, entry.temperature_k, entry.id),
    )
