"""A campaign as a chain of workflows: one for each generation, then production."""

from dataclasses import dataclass, field
from typing import Literal

from jobflow import Flow, Maker

from lizrcl_flows.documents import Campaign
from lizrcl_flows.documents.spec import CampaignSpec
from lizrcl_flows.flows.generation import GenerationMaker
from lizrcl_flows.flows.production import ProductionMaker
from lizrcl_flows.jobs.turns import INITIAL, is_production


@dataclass
class CampaignMaker(Maker):
    """Build the workflow of any turn; each turn carries this maker to its last job, which submits the next.

    Parameters
    ----------
    generation, production
        Makers of the two kinds of turn.
    manager
        Who runs the turns: "fireworks" lets the last job of a turn submit the next one, "local" leaves that to the loop
        of `lizrcl_flows.flows.campaigns.run_campaign`.
    """

    generation: GenerationMaker
    production: ProductionMaker
    manager: Literal["fireworks", "local"] = "fireworks"
    name: str = field(default="campaign")

    @classmethod
    def from_spec(cls, spec: CampaignSpec, manager: Literal["fireworks", "local"] = "fireworks") -> "CampaignMaker":
        """Build the maker with the engines that the campaign file names."""
        return cls(
            generation=GenerationMaker.from_spec(spec),
            production=ProductionMaker.from_spec(spec),
            manager=manager,
        )

    def revised(self, spec: CampaignSpec) -> "CampaignMaker":
        """Return the maker that a changed campaign file asks for."""
        return type(self).from_spec(spec, self.manager)

    def make(self, campaign: Campaign) -> Flow:
        """Return the first turn: generation 0."""
        return self.make_turn(campaign, 0)

    def make_turn(self, campaign: Campaign, turn: int | str) -> Flow:
        """Return the flow of one turn: the index of a generation, "production", or "initial" (the first set)."""
        if turn == INITIAL:
            return self.generation.initial.make(campaign)
        if isinstance(turn, str) and is_production(turn):
            return self.production.make(campaign, self, turn)
        return self.generation.make(campaign, int(turn), self)
