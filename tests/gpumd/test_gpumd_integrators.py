"""The integrators against laws that are known: conservation, canonical and isothermal-isobaric distributions."""

import numpy as np
import pytest
from scipy import stats

from lizrcl_flows.gpumd import NptScr, Nve, NvtBdp
from lizrcl_flows.gpumd.integrators import Integrator
from lizrcl_flows.gpumd.model_xyz import ModelXyz
from lizrcl_flows.gpumd.system import EV_PER_U_A2_FS2, System
from lizrcl_flows.gpumd.velocities import draw_velocities, remove_momentum
from lizrcl_flows.units import BOLTZMANN_EV_PER_K, GPA_PER_EV_A3


def start(model, field, temperature, rng):
    system = System(model)
    draw_velocities(system, temperature, rng)
    system.evaluate(field)
    return system


def effective_samples(series):
    """Number of independent samples in a series, from the initial part of its autocorrelation."""
    centred = series - series.mean()
    n = len(series)
    spectrum = np.fft.rfft(centred, 2 * n)
    correlation = np.fft.irfft(spectrum * spectrum.conj())[:n] / (np.arange(n, 0, -1) * centred.var())
    stop = int(np.argmax(correlation < 0.05))
    return n / (1.0 + 2.0 * correlation[1:stop].sum())


def test_unit_of_kinetic_energy_is_that_of_ase():
    from ase import units

    assert pytest.approx(units._amu * 1e10 / units._e, rel=1e-7) == EV_PER_U_A2_FS2


def test_harmonic_oscillator_has_the_right_period(harmonic_crystal):
    """Two atoms against each other: omega^2 = k/m, independent of the units that the code uses inside."""
    from ase import units

    sites = np.array([[5.0, 5.0, 5.0], [8.0, 5.0, 5.0]])
    positions = sites + np.array([[-0.1, 0, 0], [0.1, 0, 0]])
    model = ModelXyz(("Ar", "Ar"), np.eye(3) * 20, positions, np.ones(3, dtype=bool), masses=np.array([40.0, 40.0]))
    system = System(model)
    field = harmonic_crystal(sites, 1.0)
    system.evaluate(field)
    integrator = Integrator(system, field, Nve(), np.random.default_rng(0))
    period = 2 * np.pi * np.sqrt(40.0) / units.fs
    steps = 4000
    for _ in range(steps):
        integrator.step(period / steps, 0.0)
    np.testing.assert_allclose(system.positions, positions, atol=2e-6)


def test_nve_conserves_energy_and_momentum(argon, lennard_jones):
    """Energy fluctuates as the square of the time step and does not drift."""
    spread = {}
    for step_fs, steps in ((8.0, 400), (4.0, 800)):
        rng = np.random.default_rng(7)
        system = start(argon(3), lennard_jones, 60.0, rng)
        integrator = Integrator(system, lennard_jones, Nve(), rng)
        energies = np.array([integrator.step(step_fs, 0.0) + system.energy for _ in range(steps)]) / len(system)
        half = len(energies) // 2
        spread[step_fs] = energies.std()
        assert abs(energies[half:].mean() - energies[:half].mean()) < 2.0 * spread[step_fs]
        assert spread[step_fs] < 2e-5
        momentum = (system.masses[:, None] * system.velocities).sum(axis=0)
        assert np.abs(momentum).max() < 1e-12
    assert 3.0 < spread[8.0] / spread[4.0] < 5.0


def test_nve_is_reversible(argon, lennard_jones):
    rng = np.random.default_rng(8)
    system = start(argon(2), lennard_jones, 80.0, rng)
    before = system.positions.copy()
    for _ in range(2):
        integrator = Integrator(system, lennard_jones, Nve(), rng)
        for _ in range(100):
            integrator.step(2.0, 0.0)
        system.velocities *= -1.0
    np.testing.assert_allclose(system.positions, before, atol=1e-10)


def test_kinetic_energy_of_nvt_bdp_follows_the_gamma_law(gas, ideal_gas):
    """Without forces the thermostat alone moves the kinetic energy: Gamma((3N-3)/2, kT), any step, any tau."""
    rng = np.random.default_rng(11)
    system = start(gas(6), ideal_gas, 300.0, rng)
    integrator = Integrator(system, ideal_gas, NvtBdp(500.0, 500.0, 2.0), rng)
    kinetic = np.array([integrator.step(1.0, 0.0) for _ in range(40_000)])[100:]
    law = stats.gamma(7.5, scale=BOLTZMANN_EV_PER_K * 500.0)
    independent = effective_samples(kinetic)
    assert abs(kinetic.mean() - law.mean()) < 4.0 * law.std() / np.sqrt(independent)
    assert abs(kinetic.var() / law.var() - 1.0) < 4.0 * np.sqrt((2.0 + 6.0 / 7.5) / independent)
    assert stats.kstest(kinetic[::12], law.cdf).pvalue > 1e-4


def test_harmonic_crystal_in_nvt_bdp_has_equipartition(argon, harmonic_crystal):
    """The potential energy of 3N-3 modes is (3N-3) kT/2: the temperature is that of the motion inside."""
    rng = np.random.default_rng(12)
    model = argon(1)
    field = harmonic_crystal(model.positions.copy(), 2.0)
    system = start(model, field, 300.0, rng)
    integrator = Integrator(system, field, NvtBdp(300.0, 300.0, 20.0), rng)
    potential = []
    for _ in range(80_000):
        integrator.step(8.0, 0.0)
        potential.append(system.energy)
    potential = np.array(potential)[1000:]
    expected = 4.5 * BOLTZMANN_EV_PER_K * 300.0
    error = potential.std() / np.sqrt(effective_samples(potential))
    assert error < 0.04 * expected
    assert abs(potential.mean() - expected) < 4.0 * error


def test_temperature_ramp_ends_where_it_should(gas, ideal_gas):
    rng = np.random.default_rng(13)
    system = start(gas(4000, 100.0), ideal_gas, 300.0, rng)
    integrator = Integrator(system, ideal_gas, NvtBdp(300.0, 900.0, 5.0), rng)
    temperatures = [system.temperature(integrator.step(1.0, step / 400)) for step in range(1, 401)]
    assert temperatures[199] == pytest.approx(600.0 - 1.5 * 5, rel=0.06)
    assert temperatures[-1] == pytest.approx(900.0 - 1.5 * 5, rel=0.06)


PRESSURE_GPA = 0.1
ATOMS = 30
TEMPERATURE_K = 300.0


def volume_law(energy):
    """Mean and standard deviation of the volume for ``V^(N-1) exp(-(P V + U(V))/kT)``, by quadrature."""
    thermal = BOLTZMANN_EV_PER_K * TEMPERATURE_K
    pressure = PRESSURE_GPA / GPA_PER_EV_A3
    typical = ATOMS * thermal / pressure
    volumes = np.linspace(0.1, 4.0, 40_001) * typical
    logarithm = (ATOMS - 1) * np.log(volumes) - (pressure * volumes + energy(volumes)) / thermal
    weights = np.exp(logarithm - logarithm.max())
    weights /= weights.sum()
    mean = weights @ volumes
    return mean, np.sqrt(weights @ (volumes - mean) ** 2)


def barostat(form, elastic):
    pressure = (PRESSURE_GPA,) if form == 1 else (PRESSURE_GPA,) * 3 + (0.0,) * (form - 3)
    return NptScr(TEMPERATURE_K, TEMPERATURE_K, 10.0, pressure, (elastic,) * form, 30.0)


@pytest.mark.parametrize("form", [1, 3, 6])
def test_volume_of_an_ideal_gas_in_npt_scr(form, gas, ideal_gas):
    """N atoms: Gamma(N, kT/P), so <V> = N kT/P and var V = N (kT/P)^2, whatever the shape of the cell may do."""
    mean, spread = volume_law(lambda volumes: 0.0 * volumes)
    unit = BOLTZMANN_EV_PER_K * TEMPERATURE_K / PRESSURE_GPA * GPA_PER_EV_A3
    assert (mean, spread) == (pytest.approx(ATOMS * unit, rel=1e-4), pytest.approx(np.sqrt(ATOMS) * unit, rel=1e-3))
    rng = np.random.default_rng(20 + form)
    system = start(gas(ATOMS, mean ** (1 / 3)), ideal_gas, TEMPERATURE_K, rng)
    integrator = Integrator(system, ideal_gas, barostat(form, PRESSURE_GPA), rng)
    volumes = []
    for _ in range(40_000):
        integrator.step(1.0, 0.0)
        volumes.append(system.volume)
    check_volumes(np.array(volumes)[1000:], mean, spread)


@pytest.mark.parametrize("form", [1, 3, 6])
def test_volume_of_a_stiff_box_in_npt_scr(form, gas, volume_spring):
    """The box resists with a known energy: the virial enters with the right sign and factor."""
    unit = BOLTZMANN_EV_PER_K * TEMPERATURE_K / PRESSURE_GPA * GPA_PER_EV_A3
    field = volume_spring(0.7 * ATOMS * unit, 20.0 * PRESSURE_GPA / GPA_PER_EV_A3)
    mean, spread = volume_law(lambda volumes: 0.5 * field.bulk * (volumes - field.volume) ** 2 / field.volume)
    rng = np.random.default_rng(30 + form)
    system = start(gas(ATOMS, mean ** (1 / 3)), field, TEMPERATURE_K, rng)
    integrator = Integrator(system, field, barostat(form, 20.0 * PRESSURE_GPA), rng)
    volumes, works = [], []
    for step in range(40_000):
        integrator.step(1.0, 0.0)
        volumes.append(system.volume)
        if step % 20 == 0:
            excess = system.pressure() - PRESSURE_GPA / GPA_PER_EV_A3 * np.eye(3)
            works.append(system.volume * excess / (BOLTZMANN_EV_PER_K * TEMPERATURE_K))
    check_volumes(np.array(volumes)[1000:], mean, spread)
    if form == 6:
        check_virial_theorem(np.array(works)[50:])


def check_volumes(volumes, mean, spread):
    independent = effective_samples(volumes)
    assert independent > 200
    assert abs(volumes.mean() - mean) < 4.0 * spread / np.sqrt(independent)
    assert abs(volumes.var() / spread**2 - 1.0) < 4.0 * np.sqrt(2.5 / independent)


def check_virial_theorem(works):
    """<V (P - P0)> is -kT on the diagonal and 0 off it, which integrating the density by parts shows."""
    for first in range(3):
        for second in range(3):
            series = works[:, first, second]
            error = series.std() / np.sqrt(effective_samples(series))
            assert abs(series.mean() + (first == second)) < 4.0 * error


def test_stiff_components_stand_still(gas, ideal_gas):
    rng = np.random.default_rng(40)
    system = start(gas(20), ideal_gas, 300.0, rng)
    command = NptScr(300.0, 300.0, 10.0, (0.1,) * 3 + (0.0,) * 3, (0.1, 0.1, 5000.0, 5000.0, 5000.0, 5000.0), 30.0)
    integrator = Integrator(system, ideal_gas, command, rng)
    for _ in range(200):
        integrator.step(1.0, 0.0)
    moved = np.abs(system.cell - 20.0 * np.eye(3)) > 1e-12
    np.testing.assert_array_equal(moved, np.diag([True, True, False]))


def test_anisotropic_pressure_relaxes_a_crystal(argon, lennard_jones):
    """Argon in a cell that is too long along z: the cell comes to the pressure that was asked for, from all sides."""
    rng = np.random.default_rng(41)
    model = argon(3)
    stretched = np.diag([1.0, 1.0, 1.04])
    model = ModelXyz(model.species, model.cell @ stretched, model.positions @ stretched, model.pbc)
    system = start(model, lennard_jones, 30.0, rng)
    command = NptScr.hydrostatic(model.cell, 0.1, 3.0, NvtBdp(30.0, 30.0, 50.0), 100.0)
    integrator = Integrator(system, lennard_jones, command, rng)
    cells, pressures = [], []
    for step in range(1500):
        integrator.step(4.0, 0.0)
        if step >= 700:
            cells.append(np.diag(system.cell))
            pressures.append(np.diag(system.pressure()) * GPA_PER_EV_A3)
    lengths = np.mean(cells, axis=0)
    assert lengths.max() / lengths.min() < 1.01
    np.testing.assert_allclose(np.mean(pressures, axis=0), 0.1, atol=0.02)


def test_drawn_velocities_have_the_temperature_and_no_momentum(argon):
    model = argon(2, masses=np.linspace(10.0, 80.0, 32))
    system = System(model)
    draw_velocities(system, 450.0, np.random.default_rng(2))
    assert system.temperature(system.kinetic_energy()) == pytest.approx(450.0, rel=1e-12)
    assert momenta(system) == pytest.approx(np.zeros(6), abs=1e-12)
    # equipartition between light and heavy atoms
    energies = 0.5 * system.masses * np.sum(system.velocities**2, axis=1)
    assert 0.6 < energies[:16].mean() / energies[16:].mean() < 1.7


def momenta(system):
    mass = system.masses[:, None]
    arms = system.positions - (mass * system.positions).sum(axis=0) / mass.sum()
    return np.concatenate(
        [(mass * system.velocities).sum(axis=0), (mass * np.cross(arms, system.velocities)).sum(axis=0)]
    )


@pytest.mark.parametrize("by_group", [False, True])
def test_momentum_is_removed_and_kinetic_energy_kept(argon, by_group):
    system = System(argon(2))
    rng = np.random.default_rng(3)
    system.velocities[:] = rng.normal(size=system.velocities.shape) * 0.01 + [0.02, 0.0, -0.01]
    labels = (np.arange(32) % 2).astype(np.int64) if by_group else None
    before = system.kinetic_energy()
    remove_momentum(system, labels)
    assert system.kinetic_energy() == pytest.approx(before, rel=1e-12)
    assert momenta(system)[:3] == pytest.approx(np.zeros(3), abs=1e-12)
    if by_group:
        assert system.velocities[::2].sum(axis=0) == pytest.approx(np.zeros(3), abs=1e-12)
    else:
        assert momenta(system) == pytest.approx(np.zeros(6), abs=1e-11)


def test_momentum_of_atoms_in_a_row_and_of_one_atom():
    """No inertia about the line: nothing is divided by zero."""
    positions = np.array([[0.0, 0, 0], [3.0, 0, 0], [6.0, 0, 0]])
    for count in (1, 3):
        system = System(ModelXyz(("Ar",) * count, np.eye(3) * 20, positions[:count], np.ones(3, dtype=bool)))
        system.velocities[:] = [0.01, 0.02, 0.0]
        remove_momentum(system)
        assert np.all(np.isfinite(system.velocities))
        assert np.abs(momenta(system)).max() < 1e-12
