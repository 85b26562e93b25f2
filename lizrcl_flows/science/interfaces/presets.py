"""The four production cells of the study, each given by planes, common cell and layers."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from lizrcl_flows.documents import Origin, Structure
from lizrcl_flows.errors import InputError, NotFoundError
from lizrcl_flows.science.interfaces.build import BuildOptions, build_interface
from lizrcl_flows.science.interfaces.candidates import usable_terminations
from lizrcl_flows.science.interfaces.coincidence import Matrix
from lizrcl_flows.science.interfaces.crystals import Hkl, crystal_of
from lizrcl_flows.science.interfaces.oriented import orient
from lizrcl_flows.science.interfaces.search import InterfaceMatch, given_match
from lizrcl_flows.science.structures import load_structure

Lengths = tuple[float, float, float]


@dataclass(frozen=True)
class StudyCell:
    """One production cell of arXiv:2601.22612 (2026).

    Attributes
    ----------
    film, substrate
        Bundled crystals; the film, Li2ZrCl6, takes the strain.
    phases
        What the study calls them, film and substrate.
    film_hkl, substrate_hkl
        Planes in the conventional cells.
    film_matrix, substrate_matrix
        The common cell in the in-plane vectors of `orient`.
    layers
        Spacings of film and substrate.
    repeat
        Supercell of the common cell.
    lengths_a
        Cell lengths (A) to which a bundled crystal is scaled first, by side, where the study's strain needs other than
        the bundled ones.
    note
        What is known and what was inferred.
    """

    film: str
    substrate: str
    phases: tuple[str, str]
    film_hkl: Hkl
    substrate_hkl: Hkl
    film_matrix: Matrix
    substrate_matrix: Matrix
    layers: tuple[int, int]
    repeat: Matrix
    lengths_a: Mapping[str, Lengths] = field(default_factory=dict)
    note: str = ""


_RELAXED_IDEAL: Lengths = (6.218, 6.218, 11.437)
"""Ideal Li2ZrCl6 relaxed with NEP89; with 5.15 A for cubic ZrO2 it gives the mismatch below 0.5 % of the study."""

_WIDE_CUBIC: Lengths = (5.15, 5.15, 5.15)
"""The upper end of the values in use for cubic ZrO2; the ratio of atoms in the study's cells needs it."""

STUDY_CELLS: Mapping[str, StudyCell] = {
    "study-1": StudyCell(
        film="Li2ZrCl6_ideal_P-31c",
        substrate="ZrO2_cubic_Fm-3m",
        phases=("ideal", "cubic"),
        film_hkl=(0, 0, 1),
        substrate_hkl=(1, 1, 1),
        film_matrix=((7, 0), (0, 7)),
        substrate_matrix=((-12, -12), (12, 0)),
        layers=(4, 6),
        repeat=((2, 0), (0, 1)),
        lengths_a={"film": _RELAXED_IDEAL, "substrate": _WIDE_CUBIC},
        note="the ratio of formula units 1728:784 admits only the 49:144 coincidence, 12 x 12 cells of ZrO2 on 7 x 7",
    ),
    "study-2": StudyCell(
        film="Li2ZrCl6_ideal_P-31c",
        substrate="ZrO2_tetragonal_P42nmc",
        phases=("ideal", "tetragonal"),
        film_hkl=(1, 0, 1),
        substrate_hkl=(1, 0, 1),
        film_matrix=((2, 0), (0, 1)),
        substrate_matrix=((3, -1), (1, 2)),
        layers=(9, 8),
        repeat=((4, 0), (0, 4)),
        lengths_a={"film": _RELAXED_IDEAL},
        note="2:7 coincidence",
    ),
    "study-3": StudyCell(
        film="Li2ZrCl6_alpha_ordered",
        substrate="ZrO2_cubic_Fm-3m",
        phases=("alpha", "cubic"),
        film_hkl=(0, 0, 1),
        substrate_hkl=(-1, -1, 5),
        film_matrix=((1, 0), (0, 1)),
        substrate_matrix=((-2, -1), (3, 0)),
        layers=(8, 21),
        repeat=((4, 0), (0, 6)),
        lengths_a={"substrate": _WIDE_CUBIC},
        note="the study's (2 2 -1) is read as indices of the primitive cell, conventional (-1 -1 5): "
        "the conventional (2 2 -1) has no common cell of that size",
    ),
    "study-4": StudyCell(
        film="Li2ZrCl6_alpha_ordered",
        substrate="ZrO2_monoclinic_P21c",
        phases=("alpha", "monoclinic"),
        film_hkl=(2, 0, 1),
        substrate_hkl=(0, 1, 0),
        film_matrix=((1, 0), (1, 1)),
        substrate_matrix=((-2, 1), (-2, -2)),
        layers=(12, 4),
        repeat=((4, 0), (0, 4)),
        note="1:6 coincidence; the bundled experimental cells give a mismatch above the study's 1 %",
    ),
}


def study_match(name: str) -> InterfaceMatch:
    """Return planes and common cell of one of the study's production cells.

    Parameters
    ----------
    name
        ``study-1`` to ``study-4``.

    Raises
    ------
    NotFoundError
        If there is no such preset.
    """
    cell = _preset(name)
    sides = []
    for side, crystal, phase, hkl in (
        ("film", cell.film, cell.phases[0], cell.film_hkl),
        ("substrate", cell.substrate, cell.phases[1], cell.substrate_hkl),
    ):
        structure = load_structure(crystal, phase=phase, region="bulk")
        if side in cell.lengths_a:
            structure = scaled(structure, cell.lengths_a[side])
        bulk = crystal_of(structure)
        sides.append(orient(bulk, bulk.plane(hkl)))
    film, substrate = sides
    match = given_match(film, substrate, (cell.film_matrix, cell.substrate_matrix))
    return replace(match, layers=cell.layers)


def study_options(name: str, gap_a: float = 2.3) -> BuildOptions:
    """Return layers, supercell and gap (A) of one of the study's production cells; the gap is ours."""
    cell = _preset(name)
    return BuildOptions(layers=cell.layers, repeat=cell.repeat, gap_a=gap_a)


def build_study_cell(name: str, options: BuildOptions | None = None) -> Structure:
    """Build one of the study's production cells: 12,240, 10,560, 9,720 or 9,792 atoms.

    The study does not say which terminations and registries it took; these are the most natural cut of each side and
    no displacement.

    Parameters
    ----------
    name
        ``study-1`` to ``study-4``.
    options
        Gap, registry, strained side and so on instead of `study_options`.
    """
    match = study_match(name)
    film, substrate = (usable_terminations(side)[0] for side in (match.film, match.substrate))
    built = build_interface(match, film, substrate, options or study_options(name))
    origin = built.origin
    note = {"preset": name, "note": _preset(name).note}
    return built.revised(origin=origin.model_copy(update={"parameters": {**note, **origin.parameters}}))


def scaled(structure: Structure, lengths_a: Lengths) -> Structure:
    """Return a crystal with other cell lengths (A), angles and fractional positions kept.

    Raises
    ------
    InputError
        If a length is not above zero.
    """
    if not min(lengths_a) > 0:
        raise InputError(f"cell lengths {lengths_a} are not accepted, three lengths above 0 A are")
    fractional = structure.positions @ np.linalg.inv(structure.cell)
    cell = structure.cell * (np.array(lengths_a) / np.linalg.norm(structure.cell, axis=1))[:, None]
    origin = structure.origin
    return structure.revised(
        cell=cell,
        positions=fractional @ cell,
        parents=(structure.id,),
        origin=Origin(
            kind=origin.kind, source=origin.source, parameters={**origin.parameters, "lengths_a": list(lengths_a)}
        ),
    )


def _preset(name: str) -> StudyCell:
    try:
        return STUDY_CELLS[name]
    except KeyError:
        raise NotFoundError(f"preset '{name}' is not one of {', '.join(STUDY_CELLS)}") from None
