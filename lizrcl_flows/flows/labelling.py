"""Labels as a part of flows: submitted in batches, collected into a data set."""

from typing import Any

from lizrcl_flows.engines.labelling.base import LabelEngine
from lizrcl_flows.jobs.labelling import extend_dataset, label_structures
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
    label = in_category(label_structures(*here, structures, split, labeller), "cpu", f"submit labels {split}")
    collect = in_category(extend_dataset(*here, label.output, split, labeller), "cpu", f"extend data set {split}")
    return [label, collect], collect.output
