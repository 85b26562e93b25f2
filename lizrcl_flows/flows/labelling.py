"""Labels as a part of flows: submitted in batches, collected into a data set."""

from typing import Any

from jobflow import OnMissing

from lizrcl_flows.engines.labelling.base import LabelEngine
from lizrcl_flows.jobs.datasets import extend_dataset
from lizrcl_flows.jobs.labelling import label_structures
from lizrcl_flows.jobs.routing import in_category


def label_and_collect(
    here: tuple[str, int], structures: Any, split: str, labeller: LabelEngine
) -> tuple[list[Any], Any]:
    """Return the jobs that label structures and add the accepted ones to a data set, and what the last one returns.

    Parameters
    ----------
    here
        Campaign id and index of the generation.
    structures
        Structure ids, or the output of a job that returns them.
    split
        "train" or "holdout".
    """
    label = in_category(label_structures(*here, structures, split, labeller), "dft", f"submit labels {split}")
    collect = in_category(extend_dataset(*here, label.output, split), "cpu", f"extend data set {split}")
    collect.config.on_missing_references = OnMissing.NONE  # also makes FireWorks go on where a batch has FIZZLED
    return [label, collect], collect.output
