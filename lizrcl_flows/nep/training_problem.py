"""From nep.in and nep.txt to what is optimised, and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lizrcl_flows.errors import InputError
from lizrcl_flows.nep.model import NepHeader, NepModel
from lizrcl_flows.nep.structures import LabelledFrame
from lizrcl_flows.nep.training_data import ErrorWeights, FixedPart, References
from lizrcl_flows.nep.training_loss import LossWeights
from lizrcl_flows.nep.training_parameters import CONSTANT_NEURON_BIAS, places
from lizrcl_flows.nep.training_run import Start

if TYPE_CHECKING:
    from lizrcl_flows.nep.nep_in import NepIn

Floats = NDArray[np.float64]

NEIGHBOUR_MARGIN = 1.3
"""gpumd stops when an atom has many more neighbours than nep.txt announces; melts and dense cells need room."""
MOST_NEIGHBOURS = 819
"""Largest number that gpumd accepts, since it allocates a quarter more and at most 1024."""
VIRIAL_ROWS, VIRIAL_COLUMNS = [0, 1, 2, 0, 1, 2], [0, 1, 2, 1, 2, 0]
"""xx yy zz xy yz zx of a 3 x 3 virial."""


@dataclass(frozen=True)
class Problem:
    """What nep.in asks for, as far as it has an effect here.

    Attributes
    ----------
    header
        Header of the potential.
    loss, errors
        Weights of the terms of the loss, and of the errors in them.
    batch
        Structures of a step.
    full_batch
        Whether a step takes all structures.
    generation, output_interval
        Steps in all, and between two rows of loss.out.
    """

    header: NepHeader
    loss: LossWeights
    errors: ErrorWeights
    batch: int
    full_batch: bool
    generation: int
    output_interval: int


def to_model(problem: Problem, parameters: Floats, scale: Floats, neighbours: tuple[int, int]) -> NepModel:
    """Potential from parameters with absolute energies; the neighbour counts get a margin."""
    radial, angular = (min(int(np.ceil(NEIGHBOUR_MARGIN * count)), MOST_NEIGHBOURS) for count in neighbours)
    return NepModel(problem.header, parameters, scale, (radial, angular))


def warm_start(problem: Problem, model: NepModel) -> Start:
    """Start from a potential: constant neurons are recognised, and their energies set aside as references.

    Raises
    ------
    InputError
        Its header is not that of nep.in.
    """
    if replace(model.header, zbl=problem.header.zbl) != problem.header:
        raise InputError(
            f"the potential to start from has another header ({model.header}) than nep.in asks for ({problem.header})"
        )
    header, at = problem.header, places(problem.header)
    parameters = model.parameters.copy()
    shared = -float(parameters[at.b1])
    parameters[at.b1] = 0.0
    free = np.ones(len(parameters), dtype=bool)
    by_type = np.zeros(header.n_types)
    constant = not np.any(parameters[at.w0[:, -1]]) and np.all(parameters[at.b0[:, -1]] == -CONSTANT_NEURON_BIAS)
    if constant:
        by_type = parameters[at.w1[:, -1]] * np.tanh(CONSTANT_NEURON_BIAS)
        parameters[at.w1[:, -1]] = 0.0
        for part in (at.w0[:, -1], at.b0[:, -1], at.w1[:, -1]):
            free[part] = False
    return Start(parameters, model.q_scaler.copy(), free, References(by_type, shared))


def fixed_parts(problem: Problem, frames: Sequence[LabelledFrame]) -> list[FixedPart | None]:
    """Evaluate the ZBL repulsion alone for every frame; None where there is no repulsion."""
    if problem.header.zbl is None or not frames:
        return [None] * len(frames)
    from lizrcl_flows.nep.committee import Committee

    header = problem.header
    silent = NepModel(header, np.zeros(header.n_parameters), np.ones(header.n_descriptors), (0, 0))
    results = Committee([silent]).evaluate(frames)
    return [FixedPart(float(r.energy[0]), r.forces[0], r.virial[0][VIRIAL_ROWS, VIRIAL_COLUMNS]) for r in results]


def problem_from(config: NepIn) -> Problem:
    """Translate what nep.in asks for.

    Raises
    ------
    InputError
        It asks for a version of NEP that cannot be trained here.
    """
    if config.version != 4:
        raise InputError(f"version {config.version} of nep.in cannot be trained here; accepted is 4")
    l1, l2 = config.regularisation()
    return Problem(
        config.header(),
        LossWeights(config.lambda_e, config.lambda_f, config.lambda_v, l1, l2),
        ErrorWeights(config.weights_by_type(), config.force_delta, config.lambda_shear),
        config.batch,
        config.full_batch,
        config.generation,
        config.output_interval,
    )
