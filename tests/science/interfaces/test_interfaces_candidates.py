from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from pymatgen.optimization.neighbors import find_points_in_spheres

from lizrcl_flows.errors import InputError
from lizrcl_flows.science.interfaces.build import BuildOptions, build_interface
from lizrcl_flows.science.interfaces.candidates import (
    CandidateOptions,
    candidates,
    distinct_displacements,
    plan_candidates,
    usable_terminations,
)
from lizrcl_flows.science.interfaces.search import LIMITS, search_interfaces

SANDWICH = BuildOptions(overlap_factor=0.0)
WITH_VACUUM = BuildOptions(overlap_factor=0.0, vacuum_a=12.0)


def fingerprint(structure):
    """Smooth sums over distances by pair of species: equal for equal structures and for mirror images."""
    points = np.ascontiguousarray(structure.positions)
    first, second, _, distance = find_points_in_spheres(
        points, points, r=7.0, pbc=np.array([1, 1, 1]), lattice=np.ascontiguousarray(structure.cell), tol=1e-8
    )
    kinds = structure.numbers.astype(int)
    pair = np.minimum(kinds[first], kinds[second]) * 100 + np.maximum(kinds[first], kinds[second])
    weight = (1 - (distance / 7.0) ** 2) ** 4
    return np.array([[(weight * distance**k)[pair == p].sum() for k in range(5)] for p in np.unique(pair)]).ravel()


def all_configurations(match, build, registries=2):
    films, substrates = (usable_terminations(side)[:2] for side in (match.film, match.substrate))
    cell = distinct_displacements(match)
    for film, substrate, step in product(films, substrates, product(range(registries), repeat=2)):
        shift = np.array(step) / registries @ cell
        yield build_interface(match, film, substrate, replace(build, registry=tuple(shift)))


def classes(fingerprints):
    found = []
    for one in fingerprints:
        for members in found:
            if np.abs(members[0] - one).max() < 1e-6 * np.abs(one).max():
                members.append(one)
                break
        else:
            found.append([one])
    return sorted(len(members) for members in found)


@pytest.mark.parametrize("build", [SANDWICH, WITH_VACUUM])
def test_symmetry_leaves_exactly_the_different_ones_on_three_fold_planes(epitaxial, build):
    plan = plan_candidates(epitaxial, build=build)
    assert sorted(c.multiplicity for c in plan.configurations) == [2, 2, 6, 6]
    assert plan.n_considered == 16
    assert classes([fingerprint(s) for s in all_configurations(epitaxial, build)]) == [2, 2, 6, 6]


@pytest.mark.parametrize(("film", "substrate"), [("tetragonal", "ideal"), ("pca21", "ideal"), ("tetragonal", "cubic")])
@pytest.mark.parametrize("build", [SANDWICH, WITH_VACUUM])
def test_different_configurations_are_never_taken_for_one(bulk, film, substrate, build):
    """Every class of equal distances is at least one configuration of the plan."""
    for match in search_interfaces(bulk[film], bulk[substrate], LIMITS["training"])[:3]:
        plan = plan_candidates(match, build=build)
        made = [
            fingerprint(build_interface(match, c.film, c.substrate, replace(build, registry=c.registry)))
            for c in plan.configurations
        ]
        everything = [fingerprint(s) for s in all_configurations(match, build)]
        assert len(classes(made)) == len(classes(everything))
        assert sum(c.multiplicity for c in plan.configurations) == plan.n_considered == len(everything)


def test_displacing_the_film_by_the_common_lattice_changes_nothing(epitaxial):
    film, substrate = (usable_terminations(side)[0] for side in (epitaxial.film, epitaxial.substrate))
    still = fingerprint(build_interface(epitaxial, film, substrate, replace(SANDWICH, registry=(0.11, 0.23))))
    for shift in distinct_displacements(epitaxial):
        registry = tuple(np.array([0.11, 0.23]) + shift)
        moved = fingerprint(build_interface(epitaxial, film, substrate, replace(SANDWICH, registry=registry)))
        np.testing.assert_allclose(moved, still, rtol=1e-7)


def test_candidates_are_built_and_the_cap_is_said(epitaxial):
    options = CandidateOptions(terminations=1, registries=3)
    built = candidates(epitaxial, options)
    plan = plan_candidates(epitaxial, options)
    assert len(built) == len(plan.configurations) < 9
    assert len({structure.id for structure in built}) == len(built)
    assert plan.statement(options) == (
        f"{len(built)} distinct of 9 configurations: 1 of 6 film and 1 of 3 substrate terminations, 3 x 3 registries"
    )
    registries = [tuple(structure.origin.parameters["registry"]) for structure in built]
    assert registries == [c.registry for c in plan.configurations]


def test_other_compositions_come_last_and_only_when_asked_for(epitaxial):
    plain = usable_terminations(epitaxial.substrate)
    rich = usable_terminations(epitaxial.substrate, stoichiometric=False)
    assert all(t.stoichiometric for t in plain)
    assert [t for t in rich if t.stoichiometric] == plain
    assert len(rich) > len(plain)
    assert all(t.symmetric for t in rich if not t.stoichiometric)


def test_no_candidate_at_all_is_an_error(epitaxial):
    with pytest.raises(InputError, match="apart"):
        candidates(epitaxial, build=BuildOptions(gap_a=0.2))
    with pytest.raises(InputError, match="from 1 on"):
        plan_candidates(epitaxial, CandidateOptions(registries=0))
