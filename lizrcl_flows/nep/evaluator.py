"""Evaluation of one moving system again and again: molecular dynamics, relaxation.

    evaluator = Evaluator(committee, skin=1.0, threads=1)
    one = evaluator.evaluate_arrays(types, cell, positions, pbc, member=0)     # drives the dynamics
    all = evaluator.evaluate_arrays(types, cell, positions, pbc)               # now and then, for the spread

``types`` is an int32 array of indices into ``committee.species`` (`Evaluator.types_of` makes it), ``cell`` (3, 3) and
``positions`` (N, 3) are float64 in A; positions need not be wrapped into the cell. Every member, and the committee as a
whole, keeps a neighbour list of its own that reaches ``skin`` beyond the cutoff, follows small motions and strains of
the cell and is built anew only when a pair could be missing from it. Pass the same ``types`` and ``pbc`` objects each
time: a change of them starts a new list.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from lizrcl_flows.errors import InputError
from lizrcl_flows.nep.committee import Committee
from lizrcl_flows.nep.frames import FloatArray, type_indices


class Arrays(NamedTuple):
    """Results of all members (leading axis M), or of one (without it).

    Attributes
    ----------
    energy
        Total energy (eV): shape (M,), or a float.
    forces
        eV/A, shape (M, N, 3) or (N, 3).
    virial
        eV, compression positive, shape (M, 3, 3) or (3, 3).
    energies
        Energies of the atoms (eV), shape (M, N) or (N,).
    """

    energy: Any
    forces: FloatArray
    virial: FloatArray
    energies: FloatArray


class Evaluator:
    """A committee with neighbour lists that are kept between calls.

    Parameters
    ----------
    committee
        The models.
    skin
        How far the neighbour list reaches beyond the cutoff (A).
    threads
        Threads that share the atoms of systems of 256 atoms and more.
    """

    def __init__(self, committee: Committee, skin: float = 1.0, threads: int = 1) -> None:
        if not skin >= 0.0:
            raise InputError(f"the skin of a neighbour list should be 0 A or more, not {skin}.")
        self.committee = committee
        self.skin = skin
        self.threads = max(threads, 1)
        self._types: npt.NDArray[np.int32] | None = None
        self._pbc: Any = None
        self._sessions: dict[int | None, list[Any]] = {}

    def types_of(self, species: Sequence[str]) -> npt.NDArray[np.int32]:
        """Types of atoms by their symbols, int32, shape (N,); InputError for an unknown element."""
        return type_indices(species, {symbol: index for index, symbol in enumerate(self.committee.species)})

    @property
    def rebuilds(self) -> int:
        """How often a neighbour list was built since the types or the periodicity last changed."""
        return sum(session.rebuilds for sessions in self._sessions.values() for session in sessions)

    def evaluate_arrays(
        self,
        types: npt.NDArray[np.int32],
        cell: FloatArray,
        positions: FloatArray,
        pbc: Any = (True, True, True),
        member: int | None = None,
    ) -> Arrays:
        """Evaluate the system.

        Parameters
        ----------
        types
            Indices into ``committee.species``, int32, shape (N,).
        cell, positions
            A, float64 and C-contiguous, shapes (3, 3) and (N, 3).
        pbc
            Along which lattice vectors the system repeats.
        member
            Evaluate this member alone; all of them if absent.

        Raises
        ------
        InputError
            Positions are not finite, two atoms coincide, or the cell is flat.
        """
        from lizrcl_flows.nep import _kernel

        if types is not self._types or pbc is not self._pbc:
            self._start(types, pbc)
        sessions = self._sessions.get(member)
        if sessions is None:
            sessions = self._sessions[member] = self._make_sessions(member)
        try:
            if len(sessions) == 1:
                energy, forces, virial, energies = sessions[0].evaluate(cell, positions)
            else:
                parts = [session.evaluate(cell, positions) for session in sessions]
                order = np.argsort([number for members in self.committee.member_groups for number in members])
                energy, forces, virial, energies = (np.concatenate(part)[order] for part in zip(*parts, strict=True))
        except _kernel.GeometryError as error:
            raise InputError(f"The system cannot be evaluated: {error}.") from None
        if member is None:
            return Arrays(energy, forces, virial, energies)
        return Arrays(float(energy[0]), forces[0], virial[0], energies[0])

    def _start(self, types: npt.NDArray[np.int32], pbc: Any) -> None:
        same = self._types is not None and np.array_equal(types, self._types) and tuple(pbc) == tuple(self._pbc)
        if not same:
            self._sessions = {}
        self._types, self._pbc = types, pbc

    def _make_sessions(self, member: int | None) -> list[Any]:
        from lizrcl_flows.nep import _kernel

        assert self._types is not None
        symbols = self.committee.species
        sessions = []
        for members in self.committee.member_groups if member is None else [[member]]:
            group = self.committee.group(members)
            to_group = np.array([group.types[symbol] for symbol in symbols], dtype=np.int32)
            types = to_group[np.asarray(self._types)]
            pbc = tuple(bool(flag) for flag in self._pbc)
            sessions.append(_kernel.Session(group.kernel, types, pbc, self.skin, self.threads))
        return sessions
