"""From a system file to the labelled data set of generation 0."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from jobflow import Flow, Maker

from lizrcl_flows.documents import Campaign
from lizrcl_flows.documents.spec import CampaignSpec, SelectionSpec
from lizrcl_flows.engines.dynamics import make_sampler
from lizrcl_flows.engines.dynamics.base import LevelledDynamics
from lizrcl_flows.engines.labelling import make_labeller
from lizrcl_flows.engines.labelling.base import LabelEngine
from lizrcl_flows.engines.relaxation import make_relaxer
from lizrcl_flows.engines.relaxation.base import Relaxer
from lizrcl_flows.engines.selection import make_selector
from lizrcl_flows.engines.selection.base import Selector
from lizrcl_flows.flows.labelling import label_and_collect
from lizrcl_flows.jobs.closing import close_initial
from lizrcl_flows.jobs.initial import choose_initial
from lizrcl_flows.jobs.preparing import (
    finish_preparation,
    needs_preparation,
    prepare_interfaces,
    prepare_phases,
)
from lizrcl_flows.jobs.routing import in_category
from lizrcl_flows.jobs.sampling import sample_phases


@dataclass
class InitialMaker(Maker):
    """Order and relax the phases, build and rank interfaces, sample, perturb, choose, label.

    Steps that the campaign file does not ask for are left out; at the least, every phase is strained and rattled and
    the copies are labelled. Each step finds what is in the archive already, so that the flow may be run again.

    Parameters
    ----------
    labeller
        Engine of the labels.
    selector
        Chooses from a pool that is larger than the number of first labels.
    relaxer, interface_relaxer
        Relax crystals with their cells, and interfaces with theirs along the normal only; without them the Ewald energy
        ranks orderings and the strain ranks interfaces.
    sampler
        Dynamics with the foundation model.
    """

    labeller: LabelEngine
    selector: Selector
    relaxer: Relaxer | None = None
    interface_relaxer: Relaxer | None = None
    sampler: LevelledDynamics | None = None
    name: str = field(default="initial")

    @classmethod
    def from_spec(cls, spec: CampaignSpec) -> "InitialMaker":
        """Build the maker with the engines that the campaign file names."""
        foundation, initial = spec.foundation, spec.initial
        wish = initial.selection
        wanted = max(initial.n_structures, 1)  # none are wanted where the set begins with imported labels
        choice = SelectionSpec(engine=wish.engine, n_structures=wanted, n_components=wish.n_components)
        return cls(
            labeller=make_labeller(spec.labelling),
            selector=make_selector(choice),
            relaxer=make_relaxer(foundation) if foundation else None,
            interface_relaxer=make_relaxer(foundation, cell="c_only") if foundation else None,
            sampler=make_sampler(foundation) if foundation and initial.sampling else None,
        )

    def check(self, elements: Iterable[str]) -> None:
        """See that labels and the foundation model cover the elements, before anything is submitted.

        Raises
        ------
        InputError
            If a package or a model file is missing on this machine, or an element is not covered.
        """
        self.labeller.require(elements)
        for engine in (self.relaxer, self.sampler):
            if engine is not None:
                engine.require(elements)

    def make(self, campaign: Campaign) -> Flow:
        """Return the flow from the campaign's phases to its labelled training and hold-out sets."""
        here = (campaign.id, 0)
        steps, chosen = self.steps(campaign)
        holdout_jobs, holdout = label_and_collect(here, chosen["holdout"], "holdout", self.labeller)
        train_jobs, train = label_and_collect(here, chosen["train"], "train", self.labeller)
        close = in_category(close_initial(campaign.id, [holdout, train]), "cpu", "close first training set")
        return Flow([*steps, *holdout_jobs, *train_jobs, close], name=f"{campaign.name} first training set")

    def steps(self, campaign: Campaign) -> tuple[list[Any], Any]:
        """Return the jobs before the labels, and the output with the structure ids `train` and `holdout`."""
        steps: list[Any] = []
        ready: Any = campaign.id
        if needs_preparation(campaign.current):
            phases = in_category(prepare_phases(ready, self.relaxer), "cpu", "prepare phases")
            interfaces = in_category(
                prepare_interfaces(phases.output, self.interface_relaxer), "cpu", "prepare interfaces"
            )
            finish = in_category(finish_preparation(interfaces.output), "cpu", "finish preparation")
            steps, ready = [phases, interfaces, finish], finish.output
        if self.sampler is not None:
            sample = in_category(sample_phases(ready, self.sampler), "cpu", "submit sampling")
            steps, ready = [*steps, sample], sample.output
        choose = in_category(choose_initial(ready, self.selector), "cpu", "choose first structures")
        return [*steps, choose], choose.output
