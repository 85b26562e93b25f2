"""One turn of the loop as a flow."""

from dataclasses import dataclass, field
from typing import Any

from jobflow import Flow, Maker

from lizrcl_flows.documents import Campaign
from lizrcl_flows.documents.spec import CampaignSpec
from lizrcl_flows.engines.dynamics import make_dynamics
from lizrcl_flows.engines.dynamics.base import Dynamics
from lizrcl_flows.engines.labelling import make_labeller
from lizrcl_flows.engines.labelling.base import LabelEngine
from lizrcl_flows.engines.selection import make_selector
from lizrcl_flows.engines.selection.base import Selector
from lizrcl_flows.engines.training import make_trainer
from lizrcl_flows.engines.training.base import Trainer
from lizrcl_flows.flows.initial import InitialMaker
from lizrcl_flows.flows.labelling import label_and_collect
from lizrcl_flows.jobs.closing import close_generation
from lizrcl_flows.jobs.exploration import submit_exploration
from lizrcl_flows.jobs.routing import in_category
from lizrcl_flows.jobs.screening import screen_and_select
from lizrcl_flows.jobs.training import evaluate_fresh, evaluate_holdout, train_committee
from lizrcl_flows.jobs.validation import evaluate_train, validate_curves


@dataclass
class GenerationMaker(Maker):
    """Explore with the committee, screen, select, label, extend the data set, train a new committee, evaluate, close.

    Generation 0 has no committee yet: it labels what the initial maker makes, and a hold-out set that is never trained
    on.

    Parameters
    ----------
    labeller, trainer, dynamics, selector
        The engines; any object that keeps the protocol of its family can stand here.
    initial
        Maker of the first structures.
    """

    labeller: LabelEngine
    trainer: Trainer
    dynamics: Dynamics
    selector: Selector
    initial: InitialMaker
    name: str = field(default="generation")

    @classmethod
    def from_spec(cls, spec: CampaignSpec) -> "GenerationMaker":
        """Build the maker with the engines that the campaign file names."""
        return cls(
            labeller=make_labeller(spec.labelling),
            trainer=make_trainer(spec.training),
            dynamics=make_dynamics(spec.exploration),
            selector=make_selector(spec.selection),
            initial=InitialMaker.from_spec(spec),
        )

    def make(self, campaign: Campaign, index: int, closing_maker: Any) -> Flow:
        """Return the flow of generation `index`; `closing_maker` builds the turn after it."""
        here = (campaign.id, index)
        if index == 0:
            first, made = self.initial.steps(campaign)
            holdout_jobs, holdout = label_and_collect(here, made["holdout"], "holdout", self.labeller)
            steps, chosen, explored = [*first, *holdout_jobs], made["train"], made
        else:
            runs = in_category(submit_exploration(*here, self.dynamics), "cpu", "submit exploration")
            select = in_category(
                screen_and_select(*here, runs.output["trajectories"], self.selector), "cpu", "screen and select"
            )
            steps, chosen, explored, holdout = [runs, select], select.output["structures"], select.output, None
        label_jobs, labelled = label_and_collect(here, chosen, "train", self.labeller)
        fresh = in_category(evaluate_fresh(*here, labelled["added"]), "cpu", "evaluate fresh labels")
        train = in_category(train_committee(*here, labelled["dataset"], self.trainer), "cpu", "submit training")
        evaluate = in_category(
            evaluate_holdout(*here, train.output, holdout["dataset"] if holdout else None), "cpu", "evaluate hold-out"
        )
        parity = in_category(evaluate_train(*here, train.output), "cpu", "evaluate training set")
        curves = in_category(validate_curves(*here, train.output), "cpu", "validate curves and hops")
        evaluations = {
            "fresh": fresh.output,
            "holdout": evaluate.output,
            "train": parity.output,
            "curves": curves.output,
        }
        close = in_category(
            close_generation(*here, explored, labelled, closing_maker, evaluations),
            "cpu",
            "close generation",
        )
        tried = [fresh, train, evaluate, parity, curves]
        return Flow([*steps, *label_jobs, *tried, close], name=f"{campaign.name} generation {index}")
