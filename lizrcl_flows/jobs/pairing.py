"""The interfaces of one pair of phases: searched, built, relaxed, ranked; the lowest in energy are kept."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import islice

from lizrcl_flows.archive import Archive
from lizrcl_flows.documents import Campaign, Label, Structure
from lizrcl_flows.documents.spec import InterfaceSpec
from lizrcl_flows.engines.relaxation.base import RelaxationResult, Relaxer
from lizrcl_flows.jobs.context import provenance, work_directory
from lizrcl_flows.jobs.relaxing import relax_all, store_relaxed
from lizrcl_flows.science.interfaces.build import BuildOptions, composition
from lizrcl_flows.science.interfaces.candidates import candidates
from lizrcl_flows.science.interfaces.energies import rank
from lizrcl_flows.science.interfaces.search import LIMITS, InterfaceLimits, InterfaceMatch, search_interfaces
from lizrcl_flows.science.interfaces.terminations import formula_units

Place = tuple[bool, float]
"""Order of an interface among all of its pair: those without an interface energy (J/m^2) come after those with one."""


def limits_of(pair: InterfaceSpec) -> InterfaceLimits:
    """Return the preset's limits with what the campaign file says instead."""
    preset = LIMITS[pair.preset]
    return replace(
        preset,
        max_area_a2=pair.max_area_a2 or preset.max_area_a2,
        max_strain=preset.max_strain if pair.max_strain is None else pair.max_strain,
        max_miller=pair.max_miller or preset.max_miller,
        max_atoms=pair.max_atoms,
        slab_a=pair.thickness_a,
    )


def orientations(film: Structure, substrate: Structure, pair: InterfaceSpec) -> list[InterfaceMatch]:
    """Return the matches that are built: of each pair of planes the smallest cell, the smallest cells first.

    A small cell is what a first training set can afford; the limits see to it that its strain is acceptable.
    """
    best: dict[tuple[object, ...], InterfaceMatch] = {}
    for match in sorted(search_interfaces(film, substrate, limits_of(pair)), key=_by_size):
        best.setdefault((match.film.plane.primitive, match.substrate.plane.primitive), match)
    return list(islice(best.values(), pair.n_orientations))


def paired(
    archive: Archive,
    campaign: Campaign,
    pair: InterfaceSpec,
    crystals: tuple[Structure, Structure],
    relaxer: Relaxer | None,
) -> list[Structure]:
    """Return the interfaces that are kept, stored, the lowest in energy first.

    Without a relaxer the order is that of the search: cells by size, terminations by how natural they are.

    Raises
    ------
    InputError
        If the phases do not match within the limits; the sentence names the closest match.
    """
    film, substrate = crystals
    options = BuildOptions(gap_a=pair.gap_a, overlap_factor=campaign.current.screening.geometry_factor)
    kept: list[tuple[Place, Structure]] = []
    for number, match in enumerate(orientations(film, substrate, pair)):
        built = [
            cell.revised(campaign=campaign.name, generation=0, phase=pair.title, provenance=provenance())
            for cell in candidates(match, build=options)[: pair.n_built]
        ]
        archive.put_many(built)
        if relaxer is None:
            kept.extend(((False, float(number)), cell) for cell in built[: pair.n_kept])
            continue
        with work_directory(f"{campaign.id}-{pair.title}-{number}") as directory:
            ended = relax_all(built, relaxer, directory)
            kept.extend(_ranked(archive, campaign, crystals, ended, archive.put(relaxer.level()))[: pair.n_kept])
    return [cell for _, cell in sorted(kept, key=lambda entry: entry[0])]


def _ranked(
    archive: Archive,
    campaign: Campaign,
    crystals: tuple[Structure, Structure],
    ended: Sequence[tuple[Structure, RelaxationResult]],
    level_id: str,
) -> list[tuple[Place, Structure]]:
    """Store the relaxed interfaces of one orientation with their ranks; return their order and themselves."""
    results = {start.id: result for start, result in ended}
    bulk = {cell.id: energy for cell in crystals if (energy := _energy_per_unit(archive, cell, level_id)) is not None}
    stored = []
    for entry in rank([(start, result.energy) for start, result in ended], bulk):
        result = results[entry.structure.id]
        gamma = entry.interface_energy_j_per_m2
        facts = {
            **entry.structure.origin.parameters,
            **result.structure.origin.parameters,
            "energy_rank": entry.rank - 1,
            "n_relaxed": len(ended),
            "interface_energy_j_per_m2": gamma,
            "above_lowest_j_per_m2": entry.above_lowest_j_per_m2,
        }
        origin = result.structure.origin.model_copy(update={"parameters": facts})
        cell = store_relaxed(archive, campaign, level_id, result.structure.revised(origin=origin), result)
        place = (gamma is None, entry.above_lowest_j_per_m2 if gamma is None else gamma)
        stored.append((place, cell))
    return stored


def _energy_per_unit(archive: Archive, crystal: Structure, level_id: str) -> float | None:
    """Return the energy of one formula unit (eV) at the level that ranks, where the crystal was relaxed with it."""
    label_id = Label.id_for(structure=crystal.id, level=level_id)
    found = next(iter(archive.find(Label, {"_id": label_id, "status": "accepted"})), None)
    if found is None or found.energy is None:
        return None
    return found.energy / formula_units(composition(crystal.numbers))


def _by_size(match: InterfaceMatch) -> tuple[int, float, tuple[object, ...]]:
    found = match.coincidence
    return match.n_atoms, round(found.max_strain, 6), (match.planes, found.film_matrix, found.substrate_matrix)
