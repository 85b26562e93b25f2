"""Hops of ions: where they begin and end, known barriers, paths that are none."""

import numpy as np
import pytest
from ase.calculators.calculator import Calculator, all_changes
from toy_calculator import ToyIonic

from lizrcl_flows.documents import Origin
from lizrcl_flows.documents.spec_learning import HopSpec
from lizrcl_flows.errors import InputError
from lizrcl_flows.science.structures import load_structure, structure_from_atoms, supercell
from lizrcl_flows.science.validation.hops import find_path, hop_ends, hop_profile

ALPHA = load_structure("Li2ZrCl6_alpha_ordered", phase="alpha")
BARRIER_EV, HALF_A, TILT_EV, BOW_A = 0.4, 1.5, 0.05, 0.6


class Said:
    def __init__(self, *energy, eps=0.0):
        self.energy, self.eps = np.array(energy, dtype=float), eps
        self.forces = self.virial = np.zeros((len(energy), 1, 3))


class DoubleWell(Calculator):
    """Independent ions in B ((x/a)^2 - 1)^2 + t x/a + k/2 ((y - b (1 - (x/a)^2))^2 + z^2): a bowed channel."""

    implemented_properties = ("energy", "forces")
    barrier, tilt, stiffness = BARRIER_EV, TILT_EV, 8.0

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        x, y, z = (self.atoms.positions - self.atoms.cell.array.sum(axis=0) / 2).T
        s = x / HALF_A
        well, off = s**2 - 1, y - BOW_A * (1 - s**2)
        energy = self.barrier * well**2 + self.tilt * s + self.stiffness / 2 * (off**2 + z**2)
        along = (4 * self.barrier * well * s + self.tilt + self.stiffness * off * 2 * BOW_A * s) / HALF_A
        self.results = {
            "energy": float(energy.sum()),
            "forces": -np.stack([along, self.stiffness * off, self.stiffness * z], axis=1),
        }


def two_ions():
    """Two Li, one at each end of the channel."""
    from ase import Atoms

    atoms = Atoms("Li2", positions=[[6 - HALF_A, 6, 6], [6 + HALF_A, 6, 6]], cell=[12, 12, 12], pbc=True)
    return structure_from_atoms(atoms, origin=Origin(kind="file", source="test"), phase="well")


def extremes(tilt=TILT_EV):
    """Energies of the two minima and the saddle of B (s^2 - 1)^2 + t s, to which the channel reduces."""
    roots = np.sort(np.roots([4 * BARRIER_EV, 0, -4 * BARRIER_EV, tilt]).real)
    return [BARRIER_EV * (s**2 - 1) ** 2 + tilt * s for s in roots]


def test_the_barriers_of_a_tilted_double_well_are_found_both_ways():
    hop = HopSpec(phase="well", atom=0, vacancy=1, n_images=5, fmax_ev_per_a=0.005)
    path = find_path(hop_ends(two_ions(), hop), DoubleWell, hop)
    assert path.converged, path.problem
    energies = [image.get_potential_energy() for image in path.images]
    profile = hop_profile(0, hop, "str_0", path, ["str_0"] * 7, ([Said(e, 1.1 * e) for e in energies], [None] * 7))
    start, saddle, end = extremes()
    # a committee of two, of which the second's energies are a tenth larger, all of them
    assert profile.barrier_forward == pytest.approx(1.05 * (saddle - start), abs=1e-3)
    assert profile.barrier_backward == pytest.approx(1.05 * (saddle - end), abs=1e-3)
    assert profile.barrier_forward_std == pytest.approx(0.05 * (saddle - start), abs=1e-3)
    assert profile.barrier_backward_std == pytest.approx(0.05 * (saddle - end), abs=1e-3)
    assert profile.problem == ""
    # the path is longer than the straight line: it follows the bow
    top = path.images[int(np.argmax(energies))].positions[path.ion]
    assert top[1] - 6 == pytest.approx(BOW_A, abs=0.02)
    assert profile.distance[-1] > 2 * HALF_A + 0.2


def test_a_path_is_the_same_twice():
    hop = HopSpec(phase="well", atom=0, vacancy=1, n_images=3, max_steps=40)
    one, other = (find_path(hop_ends(two_ions(), hop), DoubleWell, hop) for _ in range(2))
    for here, there in zip(one.images, other.images, strict=True):
        assert np.array_equal(here.positions, there.positions)


def test_a_hop_between_equivalent_sites_has_one_barrier():
    hop = HopSpec(phase="alpha", atom=0, vacancy=4, vacancy_image=(-1, 0, 0), n_images=3, fmax_ev_per_a=0.08)
    path = find_path(hop_ends(ALPHA, hop), ToyIonic, hop)
    assert path.converged, path.problem
    energies = [image.get_potential_energy() for image in path.images]
    profile = hop_profile(1, hop, "str_0", path, ["str_0"] * 5, ([Said(e) for e in energies], []))
    assert profile.barrier_forward == pytest.approx(profile.barrier_backward, abs=0.03)
    assert 0.2 < profile.barrier_forward < 0.6
    assert profile.n_atoms == 26
    assert profile.name == "barrier alpha 1"
    assert profile.energy_label == ()


def test_the_ion_moves_to_the_image_that_was_named():
    hop = HopSpec(phase="alpha", atom=0, vacancy=4, vacancy_image=(-1, 0, 0), supercell=(2, 1, 2))
    start, end, ion = hop_ends(ALPHA, hop)
    whole = supercell(ALPHA, (2, 1, 2))
    assert len(start) == len(end) == whole.n_atoms - 1
    moved = end.positions - start.positions
    assert np.flatnonzero(np.abs(moved).max(axis=1) > 1e-9).tolist() == [ion]
    assert np.linalg.norm(moved[ion]) == pytest.approx(3.58, abs=0.01)
    # what was taken out is the ion whose place is now taken, modulo the supercell
    taken = 2 * 27 + 4
    kept = np.delete(whole.positions, taken, axis=0)
    assert np.allclose(start.positions, kept)
    gone = np.linalg.solve(whole.cell.T, end.positions[ion] - whole.positions[taken])
    assert np.allclose(gone, np.round(gone), atol=1e-6)


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({"atom": 6}, r"atom 6 of phase 'alpha' is Zr; of species Li are 0, 1, 2, 3, 4, 5"),
        ({"vacancy": 99}, r"vacancy 99 of phase 'alpha' is beyond the 27 atoms"),
        ({"atom": 4}, "are both 4"),
        ({"species": "Na"}, "of species Na are none"),
    ],
)
def test_an_index_that_is_no_such_ion_is_one_sentence(changes, wanted):
    hop = HopSpec(**{"phase": "alpha", "atom": 0, "vacancy": 4, **changes})
    with pytest.raises(InputError, match=wanted):
        hop_ends(ALPHA, hop)


def test_ends_that_fall_into_one_place_are_no_path():
    class OneWell(DoubleWell):
        barrier, tilt = 0.0, 0.0

        def calculate(self, *args, **kwargs):
            super().calculate(*args, **kwargs)
            x = self.atoms.positions[:, 0] - 6
            self.results["energy"] += float((x**2).sum())
            self.results["forces"][:, 0] -= 2 * x

    hop = HopSpec(phase="well", atom=0, vacancy=1)
    path = find_path(hop_ends(two_ions(), hop), OneWell, hop)
    profile = hop_profile(0, hop, "str_0", path, ["str_0"] * 2, ([Said(0.0), Said(0.0)], []))
    assert "the same place" in profile.problem
    assert profile.barrier_forward is None


def test_a_potential_that_blows_up_is_a_problem_and_no_exception():
    class Broken(DoubleWell):
        def calculate(self, *args, **kwargs):
            super().calculate(*args, **kwargs)
            self.results["forces"] = np.full_like(self.results["forces"], np.nan)

    hop = HopSpec(phase="well", atom=0, vacancy=1)
    path = find_path(hop_ends(two_ions(), hop), Broken, hop)
    assert path.problem.startswith("the start of the hop falls apart")
    assert not path.converged


def test_a_band_that_runs_out_of_steps_says_what_is_left():
    hop = HopSpec(phase="well", atom=0, vacancy=1, n_images=3, fmax_ev_per_a=1e-5, max_steps=30)
    path = find_path(hop_ends(two_ions(), hop), DoubleWell, hop)
    assert path.n_steps <= 30
    assert "eV/A after" in path.problem


def test_a_path_without_a_barrier_between_its_ends_says_so():
    hop = HopSpec(phase="well", atom=0, vacancy=1)
    path = find_path(hop_ends(two_ions(), hop), DoubleWell, hop)
    n = len(path.images)
    falling = [Said(-0.1 * i) for i in range(n)]
    profile = hop_profile(0, hop, "str_0", path, ["str_0"] * n, (falling, [1.0 + 0.1 * i for i in range(n)]))
    assert "highest at an end" in profile.problem
    assert profile.energy_label == pytest.approx([0.1 * i for i in range(n)])
    deep = [Said(value) for value in (0.0, 0.1, -0.2, -0.3, -0.2, 0.1, 0.02)]
    assert "0.300 eV below both" in hop_profile(0, hop, "str_0", path, ["str_0"] * n, (deep, [])).problem
    shallow = [Said(value) for value in (0.0, 0.4, -0.04, 0.5, 0.2, 0.1, 0.02)]
    assert hop_profile(0, hop, "str_0", path, ["str_0"] * n, (shallow, [])).problem == ""
