"""Committees of NEP models: energies, forces, virials, descriptors and their spread.

Members whose headers are equal (types, cutoffs, sizes, repulsion) are evaluated together: neighbours, cutoff
functions, Chebyshev polynomials and angular functions once for all of them. Others are evaluated group by group.

The spread of a committee is eps = max_i sqrt(sum over x, y, z of the variance of F_i over the members), with the
population variance (division by the number of members), as GPUMD's ``active`` and DeePMD's ``max_devi_f``.
"""

from collections.abc import Iterable, Sequence
from functools import cached_property
from itertools import islice, pairwise
from pathlib import Path
from typing import Any, Self

import numpy as np

from lizrcl_flows.errors import InputError
from lizrcl_flows.nep.frames import FloatArray, PackedFrames, pack_frames
from lizrcl_flows.nep.model import NepHeader, NepModel
from lizrcl_flows.nep.nep_txt import read_nep_txt

_ATOMS_PER_CALL = 50_000
_FRAMES_PER_CALL = 256


class FrameResult:
    """What a committee says of one frame.

    Attributes
    ----------
    energy
        Total energy of every member (eV), shape (M,).
    energies
        Energies of the atoms (eV), shape (M, N).
    forces
        Forces (eV/A), shape (M, N, 3).
    virial
        Virial (eV), compression positive, shape (M, 3, 3); the stress is ``-virial / volume``.
    """

    def __init__(self, energy: FloatArray, energies: FloatArray, forces: FloatArray, virial: FloatArray) -> None:
        self.energy = energy
        self.energies = energies
        self.forces = forces
        self.virial = virial

    @cached_property
    def eps_atoms(self) -> FloatArray:
        """Spread of the force on every atom (eV/A), shape (N,)."""
        return force_spread(self.forces)

    @property
    def eps(self) -> float:
        """Largest spread of the force on an atom (eV/A)."""
        return float(self.eps_atoms.max(initial=0.0))


def force_spread(forces: FloatArray) -> FloatArray:
    """Spread of forces over members: square root of the summed population variances.

    Parameters
    ----------
    forces
        Forces (eV/A), shape (M, N, 3).

    Returns
    -------
    ndarray
        eV/A, shape (N,).
    """
    centred = forces - forces.mean(axis=0)
    spread: FloatArray = np.sqrt(np.einsum("mnx,mnx->n", centred, centred) / len(forces))
    return spread


class MemberGroup:
    """Members of equal headers in the compiled kernel.

    Parameters
    ----------
    models
        At least one; all with the header of the first.
    instruction_set
        ``"avx2"`` or ``"baseline"``; empty for the best of this processor.
    """

    def __init__(self, models: Sequence[NepModel], instruction_set: str = "") -> None:
        from lizrcl_flows.nep import _kernel

        self.header = models[0].header
        self.types = {symbol: index for index, symbol in enumerate(self.header.species)}
        zbl = self.header.zbl
        self.kernel = _kernel.Committee(
            self.header.kernel_shape(len(models)),
            np.stack([model.parameters_by_type for model in models]),
            np.stack([model.q_scaler for model in models]),
            self.header.pair_cutoffs(0),
            self.header.pair_cutoffs(1),
            np.zeros(0) if zbl is None else zbl.pair_table(self.header.species),
            instruction_set,
        )

    def pack(self, frames: Sequence[Any]) -> PackedFrames:
        """Lay frames end to end with the types of these members."""
        return pack_frames(frames, self.types)

    def evaluate(self, frames: Sequence[Any], threads: int) -> list[FrameResult]:
        """Evaluate frames; see `Committee.evaluate`."""
        packed = self.pack(frames)
        energy, forces, virial, energies = self._call(self.kernel.evaluate, packed, threads)
        members = energy.shape[1]
        results = []
        for index, (start, stop) in enumerate(pairwise(packed.offsets * members)):
            results.append(
                FrameResult(
                    energy[index],
                    energies[start:stop].reshape(members, -1),
                    forces[3 * start : 3 * stop].reshape(members, -1, 3),
                    virial[index],
                )
            )
        return results

    def descriptors(self, frames: Sequence[Any], threads: int) -> list[FloatArray]:
        """Scaled descriptors of the first member; see `Committee.descriptors`."""
        packed = self.pack(frames)
        rows = self._call(self.kernel.descriptors, packed, threads)
        return [rows[start:stop] for start, stop in pairwise(packed.offsets)]

    @staticmethod
    def _call(function: Any, packed: PackedFrames, threads: int) -> Any:
        from lizrcl_flows.nep import _kernel

        try:
            return function(
                packed.types, packed.cells, packed.positions, packed.periodic, packed.offsets, max(threads, 1)
            )
        except _kernel.GeometryError as error:
            raise InputError(f"A structure cannot be evaluated: {error}.") from None


class Committee:
    """One or more NEP models of the same elements.

    Parameters
    ----------
    models
        The members, in order. The first one's descriptors and, in molecular dynamics, forces are used.
    instruction_set
        For tests: ``"avx2"`` or ``"baseline"`` instead of the best of this processor.

    Raises
    ------
    InputError
        There are no models, or their elements differ.
    """

    def __init__(self, models: Sequence[NepModel], instruction_set: str = "") -> None:
        if not models:
            raise InputError("A committee should have at least one model.")
        for number, model in enumerate(models, start=1):
            if set(model.header.species) != set(models[0].header.species):
                raise InputError(
                    f"Model {number} has the types {' '.join(model.header.species)}, model 1 has "
                    f"{' '.join(models[0].header.species)}; a committee should be of the same elements."
                )
        self.models = tuple(models)
        self.instruction_set = instruction_set
        groups: dict[NepHeader, list[int]] = {}
        for number, model in enumerate(models):
            groups.setdefault(model.header, []).append(number)
        self._members = list(groups.values())
        self._groups = [self.group(members) for members in self._members]

    @classmethod
    def from_files(cls, paths: Iterable[str | Path]) -> Self:
        """Read the members from their nep.txt files.

        Raises
        ------
        InputError
            A file is not a supported potential, or the elements differ; the file is named.
        """
        named = [(path, read_nep_txt(path)) for path in paths]
        for path, model in named:
            if set(model.header.species) != set(named[0][1].header.species):
                raise InputError(
                    f"{path} has the types {' '.join(model.header.species)}, but {named[0][0]} has "
                    f"{' '.join(named[0][1].header.species)}; a committee should be of the same elements."
                )
        return cls([model for _, model in named])

    def __len__(self) -> int:
        return len(self.models)

    @property
    def species(self) -> tuple[str, ...]:
        """Elements, in the order of the first member's types."""
        return self.models[0].header.species

    @property
    def member_groups(self) -> list[list[int]]:
        """Numbers of the members that are evaluated together, group by group."""
        return [list(members) for members in self._members]

    def group(self, members: Sequence[int]) -> MemberGroup:
        """Put some members of equal headers into the kernel."""
        return MemberGroup([self.models[number] for number in members], self.instruction_set)

    def evaluate(self, frames: Iterable[Any], threads: int = 1) -> list[FrameResult]:
        """Evaluate frames with every member.

        Parameters
        ----------
        frames
            `Frame`, anything with the same attributes, or ``ase.Atoms``.
        threads
            Threads that share the frames, or the atoms of few large ones. Results do not depend on their number. The
            interpreter's lock is released.

        Raises
        ------
        InputError
            A frame has an element that the models do not know, or no usable geometry.
        """
        results: list[FrameResult] = []
        for block in _blocks(frames):
            by_group = [group.evaluate(block, threads) for group in self._groups]
            results.extend(by_group[0] if len(by_group) == 1 else map(self._merge, zip(*by_group, strict=True)))
        return results

    def _merge(self, parts: Sequence[FrameResult]) -> FrameResult:
        """Bring results of groups into the order of the members."""
        order = np.argsort([number for members in self._members for number in members])
        names = ("energy", "energies", "forces", "virial")
        return FrameResult(*(np.concatenate([getattr(part, name) for part in parts])[order] for name in names))

    def descriptors(self, frame: Any) -> FloatArray:
        """Descriptors of the atoms by the first member, multiplied by its q_scaler, shape (N, D).

        The convention of GPUMD's ``output_descriptor 2``.
        """
        return self.descriptors_of([frame])[0]

    def descriptors_of(self, frames: Iterable[Any], threads: int = 1) -> list[FloatArray]:
        """Descriptors of many frames, each of shape (N, D); see `descriptors`."""
        return [rows for block in _blocks(frames) for rows in self._groups[0].descriptors(block, threads)]


def _blocks(frames: Iterable[Any]) -> Iterable[list[Any]]:
    """Cut frames into blocks of bounded size, so that memory does not grow with their number."""
    iterator = iter(frames)
    block: list[Any] = []
    atoms = 0
    while piece := list(islice(iterator, 1)):
        block += piece
        atoms += len(piece[0].positions)
        if len(block) == _FRAMES_PER_CALL or atoms >= _ATOMS_PER_CALL:
            yield block
            block, atoms = [], 0
    if block:
        yield block
