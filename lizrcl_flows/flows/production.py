"""Production: long runs with the final committee, and what is measured in them."""

from dataclasses import dataclass, field
from typing import Any

from jobflow import Flow, Maker

from lizrcl_flows.documents import Campaign
from lizrcl_flows.documents.spec import CampaignSpec, ProductionSpec
from lizrcl_flows.engines.dynamics import make_dynamics
from lizrcl_flows.engines.dynamics.base import Dynamics
from lizrcl_flows.jobs.analysis import analyse_run
from lizrcl_flows.jobs.arrhenius import fit_arrhenius
from lizrcl_flows.jobs.closing import close_production
from lizrcl_flows.jobs.production import produce
from lizrcl_flows.jobs.routing import in_category
from lizrcl_flows.jobs.transport import measure_diffusion
from lizrcl_flows.jobs.turns import PRODUCTION, committee_of_turn


@dataclass
class ProductionMaker(Maker):
    """Run each production trajectory that the campaign names, measure what its ion does and what the structure is.

    Parameters
    ----------
    dynamics
        The engine; any object that keeps the protocol of `lizrcl_flows.engines.dynamics.base.Dynamics`.
    """

    dynamics: Dynamics
    name: str = field(default="production")

    @classmethod
    def from_spec(cls, spec: CampaignSpec) -> "ProductionMaker":
        """Build the maker with the engine that the campaign file names."""
        return cls(dynamics=make_dynamics(spec.exploration))

    def make(self, campaign: Campaign, closing_maker: Any, turn: str = PRODUCTION) -> Flow:
        """Return the flow of all production runs of a campaign.

        Parameters
        ----------
        turn
            Name of the turn; a later one names the committee that drives its runs.
        """
        jobs, measured, analysed, runs = [], [], [], []
        committee = committee_of_turn(turn)
        for number, (run, temperature_k, member) in enumerate(ProductionSpec.driven_runs(campaign.current.production)):
            place = f"{run.phase} {temperature_k:g} K" + (f" by member {member}" if run.members > 1 else "")
            md = in_category(produce(campaign.id, number, self.dynamics, committee), "gpu", f"produce {place}")
            diffusion = in_category(
                measure_diffusion(campaign.id, md.output, run.diffusing_species), "cpu", f"diffusion {place}"
            )
            analysis = in_category(
                analyse_run(campaign.id, md.output, run.diffusing_species), "cpu", f"analyse {place}"
            )
            jobs.extend([md, diffusion, analysis])
            measured.append(diffusion.output)
            analysed.append(analysis.output)
            runs.append(md.output)
        law = in_category(fit_arrhenius(campaign.id, list(measured)), "cpu", "fit Arrhenius laws")
        closing = close_production(campaign.id, [*measured, law.output], closing_maker, turn, runs, analysed)
        close = in_category(closing, "cpu", "close production")
        return Flow([*jobs, law, close], name=f"{campaign.name} {turn}")
