import numpy as np
import pytest

from lizrcl_flows.errors import InputError
from lizrcl_flows.science.interfaces.build import BuildOptions, build_interface
from lizrcl_flows.science.interfaces.energies import EV_PER_A2_IN_J_PER_M2, interface_energy_j_per_m2, rank
from lizrcl_flows.science.interfaces.terminations import find_terminations


def test_the_unit_is_that_of_codata():
    from ase import units

    assert units.J / units.m**2 == pytest.approx(1 / EV_PER_A2_IN_J_PER_M2, rel=1e-6)


def test_a_sandwich_shares_its_excess_between_two_interfaces():
    energy = interface_energy_j_per_m2(-200.0 + 3.0, [(4, -20.0), (6, -20.0)], 50.0)
    assert energy == pytest.approx(3.0 / 100 * EV_PER_A2_IN_J_PER_M2)


def test_with_vacuum_the_free_surfaces_are_taken_off():
    with_surfaces = interface_energy_j_per_m2(-195.0, [(10, -20.0)], 50.0, 1)
    assert with_surfaces == pytest.approx(0.1 * EV_PER_A2_IN_J_PER_M2)
    assert interface_energy_j_per_m2(-195.0, [(10, -20.0)], 50.0, 1, (0.4, 0.3)) == pytest.approx(with_surfaces - 0.7)


@pytest.fixture
def built(epitaxial):
    film, substrate = find_terminations(epitaxial.film), find_terminations(epitaxial.substrate)
    rich = next(t for t in substrate if not t.stoichiometric and t.symmetric)
    thick = BuildOptions(layers=(2, 3))
    return {
        "thin": build_interface(epitaxial, film[0], substrate[0]),
        "thick": build_interface(epitaxial, film[0], substrate[0], thick),
        "rich": build_interface(epitaxial, film[0], rich),
        "rich too": build_interface(epitaxial, film[0], rich, BuildOptions(registry=(0.3, 0.1))),
    }


def test_slabs_of_any_thickness_are_ranked_by_interface_energy_others_in_their_composition(built, bulk):
    """With bulk energies of -6 eV an atom the excess that is put in must come out."""
    per_atom = -6.0
    bulk_energies = {bulk["ideal"].id: 9 * per_atom, bulk["cubic"].id: 3 * per_atom}
    excess = {"thin": 2.0, "thick": 1.5, "rich": 9.0, "rich too": 8.0}
    given = [(s, s.n_atoms * per_atom + excess[name]) for name, s in built.items()]
    ranked = rank(given, bulk_energies)
    area = built["thin"].origin.parameters["area_a2"]
    assert [entry.structure.id for entry in ranked] == [built[n].id for n in ("thick", "thin", "rich too", "rich")]
    assert [entry.rank for entry in ranked] == [1, 2, 1, 2]
    expected = [excess[n] / (2 * area) * EV_PER_A2_IN_J_PER_M2 for n in ("thick", "thin")]
    np.testing.assert_allclose([entry.interface_energy_j_per_m2 for entry in ranked[:2]], expected)
    assert [entry.interface_energy_j_per_m2 for entry in ranked[2:]] == [None, None]
    assert ranked[1].above_lowest_j_per_m2 == pytest.approx(expected[1] - expected[0])
    assert ranked[3].above_lowest_j_per_m2 == pytest.approx(1.0 / (2 * area) * EV_PER_A2_IN_J_PER_M2)
    assert ranked[0].energy_per_atom_ev == pytest.approx(per_atom + 1.5 / built["thick"].n_atoms)


def test_without_bulk_energies_only_equal_compositions_are_compared(built):
    ranked = rank([(built["thin"], -270.0), (built["thick"], -400.0)])
    assert [entry.rank for entry in ranked] == [1, 1]
    assert all(entry.interface_energy_j_per_m2 is None for entry in ranked)


def test_failed_relaxations_are_left_out(built):
    ranked = rank([(built["thin"], float("nan")), (built["thick"], -400.0)])
    assert [(entry.structure.id, entry.rank) for entry in ranked] == [(built["thick"].id, 1)]


def test_what_is_no_interface_cannot_be_ranked(bulk):
    with pytest.raises(InputError, match="no area_a2"):
        rank([(bulk["cubic"], -1.0)])
