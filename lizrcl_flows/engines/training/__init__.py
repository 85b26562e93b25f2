"""Training engines: one committee member from a data set."""

from typing import TYPE_CHECKING

from lizrcl_flows.engines.registry import find_engine

if TYPE_CHECKING:
    from lizrcl_flows.documents.spec import TrainingSpec
    from lizrcl_flows.engines.training.base import Trainer

ENGINES = {"nep": "lizrcl_flows.engines.training.nep:NepTrainer"}


def make_trainer(spec: "TrainingSpec", command: str | None = None) -> "Trainer":
    """Build the training engine that a campaign file asks for.

    Parameters
    ----------
    spec
        Training as the campaign file describes it.
    command
        Program to run; that of the worker's settings where none.

    Raises
    ------
    InputError
        If there is no such engine.
    """
    engine: Trainer = find_engine("training", ENGINES, spec.engine).from_spec(spec, command)
    return engine
