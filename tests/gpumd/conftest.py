"""Analytic potentials with known answers, in the shape in which the runner takes a force field."""

import numpy as np
import pytest

from lizrcl_flows.gpumd.model_xyz import ModelXyz


class IdealGas:
    """No interaction at all."""

    def compute(self, cell, positions):
        return 0.0, np.zeros_like(positions), np.zeros((3, 3))


class VolumeSpring:
    """Atoms that do not interact in a box with the energy ``bulk (V - V0)^2 / (2 V0)``."""

    def __init__(self, volume, bulk):
        self.volume, self.bulk = volume, bulk

    def compute(self, cell, positions):
        volume = abs(np.linalg.det(cell))
        excess = volume - self.volume
        energy = 0.5 * self.bulk * excess**2 / self.volume
        return energy, np.zeros_like(positions), -volume * self.bulk * excess / self.volume * np.eye(3)


class LennardJones:
    """Lennard-Jones potential between nearest images, energy and force shifted to zero at the cutoff."""

    def __init__(self, epsilon=0.0104, sigma=3.4, cutoff=7.5):
        self.epsilon, self.sigma, self.cutoff = epsilon, sigma, cutoff

    def compute(self, cell, positions):
        inverse = np.linalg.inv(cell)
        difference = positions[None, :, :] - positions[:, None, :]
        difference -= np.rint(difference @ inverse) @ cell
        squared = np.einsum("ijx,ijx->ij", difference, difference)
        np.fill_diagonal(squared, np.inf)
        near = squared < self.cutoff**2
        distance = np.sqrt(squared)
        ratio = np.where(near, self.sigma**2 / squared, 0.0) ** 3
        edge = (self.sigma / self.cutoff) ** 6
        steepness = 24.0 * self.epsilon * (2.0 * edge**2 - edge) / self.cutoff
        shape = 4.0 * self.epsilon * (ratio**2 - ratio - edge**2 + edge)
        energies = np.where(near, shape, 0.0) + steepness * np.where(near, distance - self.cutoff, 0.0)
        slope = 24.0 * self.epsilon * (2.0 * ratio**2 - ratio) / squared - np.where(near, steepness / distance, 0.0)
        pulls = slope[:, :, None] * difference
        virial = 0.5 * np.einsum("ijx,ijy->xy", difference, pulls)
        return 0.5 * float(energies.sum()), -pulls.sum(axis=1), virial


class HarmonicCrystal:
    """Every atom on a spring to its site, with the sites following the centre of mass."""

    def __init__(self, sites, stiffness):
        self.sites, self.stiffness = sites, stiffness

    def compute(self, cell, positions):
        offset = positions - self.sites
        offset = offset - offset.mean(axis=0)
        return 0.5 * self.stiffness * float(np.sum(offset**2)), -self.stiffness * offset, np.zeros((3, 3))


class AnalyticCommittee:
    """Dresses one analytic potential as the potentials of a run; members differ by a factor on the forces."""

    def __init__(self, field, factors=(1.0,)):
        self.field, self.factors = field, factors

    def compute(self, cell, positions):
        return self.field.compute(cell, positions)

    def compute_all(self, cell, positions):
        forces = self.field.compute(cell, positions)[1]
        return np.array([factor * forces for factor in self.factors])

    def atom_energies(self, cell, positions):
        return np.full(len(positions), self.field.compute(cell, positions)[0] / len(positions))


@pytest.fixture
def ideal_gas():
    return IdealGas()


@pytest.fixture
def volume_spring():
    return VolumeSpring


@pytest.fixture
def lennard_jones():
    return LennardJones()


@pytest.fixture
def harmonic_crystal():
    return HarmonicCrystal


@pytest.fixture
def committee_of():
    return AnalyticCommittee


@pytest.fixture
def argon():
    """Build face-centred cubic argon: `repeats` cubic cells of 5.4 A along each axis."""

    def build(repeats=3, constant=5.4, **more):
        basis = np.array([[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])
        cells = np.array(list(np.ndindex(repeats, repeats, repeats)))
        positions = (cells[:, None, :] + basis[None, :, :]).reshape(-1, 3) * constant
        cell = np.eye(3) * constant * repeats
        return ModelXyz(("Ar",) * len(positions), cell, positions, np.ones(3, dtype=bool), **more)

    return build


@pytest.fixture
def gas():
    """Build `atoms` atoms of argon anywhere in a cubic box."""

    def build(atoms, length=20.0, seed=3):
        positions = np.random.default_rng(seed).random((atoms, 3)) * length
        return ModelXyz(("Ar",) * atoms, np.eye(3) * length, positions, np.ones(3, dtype=bool))

    return build


def nep_text(seed, elements=("Li", "Zr", "Cl"), strength=0.02):
    """Text of a small NEP4 model with a ZBL wall and otherwise random, gentle parameters."""
    rng = np.random.default_rng(seed)
    types, radial, angular, basis, neurons = len(elements), 4, 3, 6, 8
    dimension = (radial + 1) + (angular + 1) * 5
    numbers = []
    for _ in elements:
        numbers += [rng.normal(size=neurons * dimension) * 0.5, rng.normal(size=neurons)]
        numbers += [rng.normal(size=neurons) * strength]
    numbers += [np.zeros(1)]
    numbers += [rng.normal(size=(count + 1) * (basis + 1) * types**2) * 0.3 for count in (radial, angular)]
    numbers += [np.ones(dimension)]
    header = [
        f"nep4_zbl {types} {' '.join(elements)}",
        "zbl 1.0 2.0",
        "cutoff 5 4 200 200",
        f"n_max {radial} {angular}",
        f"basis_size {basis} {basis}",
        "l_max 4 2 0",
        f"ANN {neurons} 0",
    ]
    return "\n".join(header + [f"{value:15.7e}" for value in np.concatenate(numbers)]) + "\n"


@pytest.fixture
def random_nep():
    return nep_text


@pytest.fixture
def chloride():
    """Build hexagonal Li2ZrCl6 (P-31c, 18 atoms times the repeats), slightly rattled."""

    def build(repeats=(1, 1, 1), rattle=0.02):
        a, c, x, y, z = 6.29, 11.85, 0.0153, 0.3486, 0.1277
        cell = np.array([[a, 0, 0], [-a / 2, a * np.sqrt(3) / 2, 0], [0, 0, c]])
        lithium = [(0, 0, 1 / 4), (0, 0, 3 / 4), (1 / 3, 2 / 3, 3 / 4), (2 / 3, 1 / 3, 1 / 4)]
        zirconium = [(1 / 3, 2 / 3, 1 / 4), (2 / 3, 1 / 3, 3 / 4)]
        chlorine = []
        for u, v in ((x, y), (-y, x - y), (y - x, -x)):
            chlorine += [(u, v, z), (-u, -v, -z), (-v, -u, 0.5 - z), (v, u, 0.5 + z)]
        fractional = np.array(lithium + zirconium + chlorine)
        species = ("Li",) * 4 + ("Zr",) * 2 + ("Cl",) * 12
        positions = (fractional % 1.0) @ cell
        model = ModelXyz(species, cell, positions, np.ones(3, dtype=bool)).replicated(repeats)
        model.positions[:] += np.random.default_rng(1).normal(size=model.positions.shape) * rattle
        return model

    return build
