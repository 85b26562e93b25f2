"""The loop: what is written when, determinism, and runs that blow up. Potentials are analytic."""

import numpy as np
import pytest

from lizrcl_flows.errors import InputError
from lizrcl_flows.gpumd import (
    make_plan,
    parse_run_in,
    read_active,
    read_dump_xyz,
    read_model_xyz,
    read_msd,
    read_thermo,
)
from lizrcl_flows.gpumd.health import BlownUpError, HealthLimits, closest_pair_within
from lizrcl_flows.gpumd.simulation import Options, simulate
from lizrcl_flows.gpumd.system import EV_PER_U_A2_FS2
from lizrcl_flows.units import BOLTZMANN_EV_PER_K, GPA_PER_EV_A3

HEAD = "potential a.txt\npotential b.txt\nvelocity 80 seed 1\ntime_step 2\n"


@pytest.fixture
def run(tmp_path, argon, lennard_jones, committee_of):
    """Carry out the text of a run.in on argon; gives the directory and the outcome."""

    def carry_out(text, model=None, field=None, factors=(1.0,), seed=1, name="run", limits=None):
        directory = tmp_path / name
        directory.mkdir(exist_ok=True)
        plan = make_plan(parse_run_in(text), argon(2, 5.5) if model is None else model)
        options = Options(directory, seed, HealthLimits() if limits is None else limits)
        potentials = committee_of(lennard_jones if field is None else field, factors)
        return directory, simulate(plan, potentials, options)

    return carry_out


def test_thermo_rows_are_what_they_say(run):
    directory, outcome = run(HEAD + "ensemble nvt_bdp 80 80 50\ndump_thermo 5\ndump_exyz 5 1 1 1\nrun 20")
    thermo = read_thermo(directory / "thermo.out")
    np.testing.assert_array_equal(thermo.time_fs, [10, 20, 30, 40])
    frames = list(read_dump_xyz(directory / "dump.xyz"))
    assert [frame.time_fs for frame in frames] == [10, 20, 30, 40]
    for row, frame in enumerate(frames):
        kinetic = 0.5 * 39.948 * EV_PER_U_A2_FS2 * np.sum(frame.velocities**2)
        assert thermo.kinetic_energy[row] == pytest.approx(kinetic, rel=1e-6)
        assert thermo.temperature_k[row] == pytest.approx(2 * kinetic / (93 * BOLTZMANN_EV_PER_K), rel=1e-6)
        assert thermo.potential_energy[row] == pytest.approx(frame.prediction.energy, rel=1e-9)
        assert frame.prediction.atom_energies.sum() == pytest.approx(frame.prediction.energy, abs=1e-6)
        tensor = 39.948 * EV_PER_U_A2_FS2 * frame.velocities.T @ frame.velocities + frame.prediction.virial
        np.testing.assert_allclose(thermo.pressure[row], tensor / thermo.volume[row], atol=1e-9)
        np.testing.assert_allclose(frame.prediction.pressure, thermo.pressure[row], atol=1e-9)
        np.testing.assert_allclose(frame.cell, thermo.cell[row])
    assert outcome.steps == 20
    assert outcome.system.time_fs == pytest.approx(40)


def test_calorine_reads_our_thermo(run):
    from calorine.gpumd import read_thermo as read_with_calorine

    directory, _ = run(HEAD + "ensemble nve\ndump_thermo 5\nrun 10\nensemble nve\ndump_thermo 2\nrun 4")
    ours, theirs = read_thermo(directory / "thermo.out"), read_with_calorine(str(directory / "thermo.out"))
    np.testing.assert_allclose(theirs.temperature, ours.temperature_k)
    np.testing.assert_allclose(theirs.time * 1e3, ours.time_fs)
    np.testing.assert_allclose(theirs.stress_yz, ours.pressure[:, 1, 2] * GPA_PER_EV_A3)
    np.testing.assert_allclose(theirs.volume, ours.volume)


def test_ase_reads_our_frames(run):
    from ase.io import read

    directory, _ = run(HEAD + "ensemble nve\ndump_exyz 5 1 1 0\nrun 10")
    atoms = read(directory / "dump.xyz", index=1, format="extxyz")
    frame = list(read_dump_xyz(directory / "dump.xyz"))[1]
    np.testing.assert_allclose(atoms.positions, frame.positions)
    np.testing.assert_allclose(atoms.arrays["vel"], frame.velocities)


def test_frames_are_wrapped_and_also_not(run, argon):
    model = argon(2, 5.5, velocities=np.tile([0.05, 0.0, -0.05], (32, 1)))
    dump = "dump_xyz 10 all.xyz precision double unwrapped_position mass"
    text = f"potential a.txt\ntime_step 2\nensemble nve\n{dump}\nrun 200"
    directory, _ = run(text, model)
    frame = list(read_dump_xyz(directory / "all.xyz"))[-1]
    fractional = frame.positions @ np.linalg.inv(frame.cell)
    assert fractional.min() >= -1e-12
    assert fractional.max() < 1 + 1e-12
    shift = (frame.unwrapped_positions - frame.positions) @ np.linalg.inv(frame.cell)
    np.testing.assert_allclose(shift, np.rint(shift), atol=1e-9)
    np.testing.assert_allclose((frame.unwrapped_positions - model.positions).mean(axis=0), [20, 0, -20], atol=1e-6)
    np.testing.assert_allclose(frame.masses, 39.948)


def test_a_group_is_dumped_by_either_syntax(run, argon):
    groups = (np.arange(32) % 3)[:, None]
    old = "dump_xyz 0 1 10 old.xyz group\n"
    new = "dump_xyz 10 new.xyz group 0 1 group_labels\n"
    directory, _ = run(HEAD + "ensemble nve\n" + old + new + "run 10", argon(2, 5.5, groups=groups))
    assert (directory / "old.xyz").read_text() == (directory / "new.xyz").read_text()
    (frame,) = read_dump_xyz(directory / "old.xyz")
    assert len(frame.species) == 11
    np.testing.assert_array_equal(frame.groups, np.ones((11, 1)))


def test_separate_files(run):
    directory, _ = run(HEAD + "ensemble nve\ndump_exyz 5 0 0 0 1\nrun 10")
    assert sorted(path.name for path in directory.glob("dump*")) == ["dump.10.xyz", "dump.5.xyz"]
    starred, _ = run(HEAD + "ensemble nve\ndump_xyz -1 0 5 frame*\nrun 10", name="starred")
    assert sorted(path.name for path in starred.iterdir()) == ["frame10", "frame5"]
    for step in (5, 10):
        assert (starred / f"frame{step}").read_text() == (directory / f"dump.{step}.xyz").read_text()


def test_active_follows_its_definition(run):
    """Members with forces f, 1.2 f and 0.5 f: the deviation is |f| times the population deviation of the factors."""
    factors = (1.0, 1.2, 0.5)
    ensemble, dump = "ensemble nvt_bdp 80 80 50\n", "dump_xyz 10 all.xyz precision double force\n"
    text = HEAD + ensemble + dump + "active 10 1 1 1 {}\nrun 100"
    directory, _ = run(text.format(0.0), factors=factors)
    largest = [np.linalg.norm(frame.prediction.forces, axis=1).max() for frame in read_dump_xyz(directory / "all.xyz")]
    active = read_active(directory / "active.out")
    np.testing.assert_allclose(active.eps, np.array(largest) * np.std(factors), rtol=1e-8)
    np.testing.assert_allclose(active.time_fs, np.arange(20, 201, 20))
    frames = list(read_dump_xyz(directory / "active.xyz"))
    assert len(frames) == 10
    for frame, eps in zip(frames, active.eps, strict=True):
        assert frame.eps == pytest.approx(eps)
        forces = np.linalg.norm(frame.prediction.forces, axis=1)
        np.testing.assert_allclose(frame.eps_atoms, forces * np.std(factors), atol=1e-9)
        assert frame.velocities is not None
    threshold = float(np.median(active.eps))
    other, _ = run(text.format(threshold), factors=factors, name="other")
    kept = [frame.eps for frame in read_dump_xyz(other / "active.xyz")]
    assert kept == [pytest.approx(eps) for eps in active.eps if eps > threshold]
    assert read_active(other / "active.out").eps.tolist() == active.eps.tolist()


def test_equal_input_gives_equal_bytes(run):
    text = HEAD + "ensemble npt_scr 80 80 50 0.01 2 500\ndump_thermo 1\ndump_exyz 10 1 1 0\ndump_restart 50\nrun 50"
    first, _ = run(text, name="first")
    second, _ = run(text, name="second")
    other, _ = run(text, name="other", seed=2)
    names = sorted(path.name for path in first.iterdir())
    assert names == ["dump.xyz", "restart.xyz", "thermo.out"]
    for name in names:
        assert (first / name).read_bytes() == (second / name).read_bytes()
        assert (first / name).read_bytes() != (other / name).read_bytes()


def test_restart_continues_the_run(run):
    whole, _ = run(HEAD + "ensemble nve\nrun 50\nensemble nve\ndump_thermo 10\nrun 50", name="whole")
    half, _ = run(HEAD + "ensemble nve\ndump_restart 50\nrun 50", name="half")
    text = "potential a.txt\nvelocity 900\ntime_step 2\nensemble nve\ndump_thermo 10\nrun 50"
    rest, _ = run(text, read_model_xyz(half / "restart.xyz"), name="rest")
    for name in ("temperature_k", "potential_energy", "pressure"):
        expected = getattr(read_thermo(whole / "thermo.out"), name)
        np.testing.assert_allclose(getattr(read_thermo(rest / "thermo.out"), name), expected, rtol=1e-6)


def test_fixed_atoms_stay_and_do_not_count(run, argon):
    groups = np.r_[np.zeros(16, dtype=int), np.ones(16, dtype=int)][:, None]
    model = argon(2, 5.5, groups=groups)
    text = HEAD + "ensemble nvt_bdp 80 80 20\nfix 0\ncorrect_velocity 10\ndump_thermo 1\ndump_exyz 100 1\nrun 100"
    directory, outcome = run(text, model)
    np.testing.assert_array_equal(outcome.system.positions[:16], model.positions[:16])
    assert np.abs(outcome.system.positions[16:] - model.positions[16:]).min(axis=1).min() > 0
    thermo = read_thermo(directory / "thermo.out")
    assert thermo.temperature_k[0] == pytest.approx(thermo.kinetic_energy[0] * 2 / (48 * BOLTZMANN_EV_PER_K))
    with pytest.raises(InputError, match="every atom"):
        run(HEAD + "ensemble nve\nfix 0\nrun 1", argon(2, 5.5, groups=0 * groups))


def test_correct_velocity_takes_momentum_out(run, argon, ideal_gas):
    velocities = np.random.default_rng(1).normal(size=(32, 3)) * 1e-3 + [0.01, 0, 0]
    text = "potential a.txt\nensemble nve\ncorrect_velocity 10\nrun {}"
    _, drifting = run(text.format(9), argon(2, 5.5, velocities=velocities), ideal_gas)
    _, still = run(text.format(10), argon(2, 5.5, velocities=velocities), ideal_gas, name="still")
    assert drifting.system.velocities.mean(axis=0) == pytest.approx(velocities.mean(axis=0))
    assert still.system.velocities.mean(axis=0) == pytest.approx(np.zeros(3), abs=1e-14)
    assert still.system.kinetic_energy() == pytest.approx(drifting.system.kinetic_energy())


def test_time_step_is_shortened_where_an_atom_would_go_too_far(run, argon, ideal_gas):
    velocities = np.zeros((32, 3))
    velocities[4] = [0.1, 0.0, 0.0]
    text = "potential a.txt\ntime_step 2 0.05\nensemble nve\ndump_exyz 1\nrun 4"
    directory, _ = run(text, argon(2, 5.5, velocities=velocities), ideal_gas)
    assert [frame.time_fs for frame in read_dump_xyz(directory / "dump.xyz")] == [0.5, 1.0, 1.5, 2.0]


def test_mean_square_displacement_of_free_flight(run, argon, ideal_gas):
    """Atoms that fly freely: MSD = v^2 t^2 for each group; the slope gives the running coefficient."""
    velocities = np.tile([0.01, 0.02, 0.0], (32, 1))
    velocities[::2] *= 0.5
    groups = (np.arange(32) % 2)[:, None]
    model = argon(2, 5.5, velocities=velocities, groups=groups)
    text = "potential a.txt\nensemble nve\ncompute_msd 5 10 all_groups 0 save_every 50\nrun 100"
    directory, _ = run(text, model, ideal_gas)
    msd = read_msd(directory / "msd.out")
    times = np.arange(10) * 5e-3
    np.testing.assert_allclose(msd.time_ps, times, atol=1e-12)
    np.testing.assert_allclose(msd.displacement[:, 1], (times[:, None] * [10, 20, 0]) ** 2, atol=1e-9)
    np.testing.assert_allclose(msd.displacement[:, 0], (times[:, None] * [5, 10, 0]) ** 2, atol=1e-9)
    slope = np.diff(msd.displacement, axis=0) / 5e-3 / 2
    np.testing.assert_allclose(msd.diffusion[1:], slope, atol=1e-8)
    assert (directory / "msd_step50.out").exists()
    single, _ = run(text.replace("all_groups 0 save_every 50", "group 0 1"), model, ideal_gas, name="single")
    np.testing.assert_allclose(read_msd(single / "msd.out").displacement, msd.displacement[:, 1:], atol=1e-9)


def test_mean_square_displacement_counts_origins_with_a_whole_window_before_them(run):
    text = HEAD + "ensemble nve\ndump_xyz 5 all.xyz precision double unwrapped_position\ncompute_msd 5 6\nrun 43"
    directory, _ = run(text)
    path = np.array([frame.unwrapped_positions for frame in read_dump_xyz(directory / "all.xyz")])
    assert len(path) == 8
    expected = [((path[5:] - path[5 - lag : 8 - lag]) ** 2).mean(axis=(0, 1)) for lag in range(6)]
    np.testing.assert_allclose(read_msd(directory / "msd.out").displacement[:, 0], expected, rtol=1e-8, atol=1e-14)


class Repulsion:
    """Pushes everything away from the first atom without end."""

    def compute(self, cell, positions):
        forces = np.zeros_like(positions)
        forces[1:] = 5.0
        return 0.0, forces, np.zeros((3, 3))


class Attraction:
    """Pulls the first two atoms together."""

    def compute(self, cell, positions):
        forces = np.zeros_like(positions)
        direction = positions[1] - positions[0]
        forces[0] = 0.2 * direction
        forces[1] = -0.2 * direction
        return 0.0, forces, np.zeros((3, 3))


class Nonsense:
    """Says nothing sensible after some steps."""

    def __init__(self):
        self.calls = 0

    def compute(self, cell, positions):
        self.calls += 1
        return 0.0, np.full_like(positions, np.nan if self.calls > 20 else 0.0), np.zeros((3, 3))


def test_too_hot_a_run_stops_and_keeps_its_frames(run, tmp_path):
    with pytest.raises(BlownUpError, match=r"blew up at step \d+: temperature .* K, above 2400 K") as caught:
        run(HEAD + "ensemble nve\ndump_exyz 5\ndump_thermo 1\nrun 100000", field=Repulsion())
    thermo = read_thermo(tmp_path / "run" / "thermo.out")
    assert len(thermo.temperature_k) == caught.value.step - 1
    assert thermo.temperature_k.max() <= 2400
    frames = list(read_dump_xyz(tmp_path / "run" / "dump.xyz"))
    assert len(frames) == (caught.value.step - 1) // 5
    assert caught.value.exit_code == 1


def test_not_a_number_is_a_blow_up(run):
    with pytest.raises(BlownUpError, match="nan K") as caught:
        run(HEAD + "ensemble nve\nrun 100", field=Nonsense())
    assert caught.value.step < 25


def test_atoms_that_meet_are_a_blow_up(run, tmp_path):
    with pytest.raises(BlownUpError, match=r"atoms 0 \(Ar\) and 1 \(Ar\) are 0\.\d+ A apart, below 1.0 A"):
        run(HEAD + "ensemble nve\ndump_exyz 2\nrun 1000", field=Attraction(), limits=HealthLimits(distance_a=1.0))
    for frame in read_dump_xyz(tmp_path / "run" / "dump.xyz"):
        assert np.linalg.norm(frame.positions[1] - frame.positions[0]) > 1.0


def test_a_volume_out_of_bounds_is_a_blow_up(run, argon, ideal_gas):
    with pytest.raises(BlownUpError, match="volume"):
        run(HEAD + "ensemble npt_scr 80 80 50 -5 1 10\ndump_thermo 1\nrun 1000", field=ideal_gas)


def test_overlapping_atoms_at_the_start_are_refused(run, argon, tmp_path):
    model = argon(2, 5.5)
    model.positions[3] = model.positions[2] + [0.1, 0, 0]
    with pytest.raises(InputError, match=r"model\.xyz: atoms 2 .* and 3 .* 0\.100 A apart"):
        run(HEAD + "ensemble nve\ndump_thermo 1\nrun 10", model)
    assert list((tmp_path / "run").iterdir()) == []


@pytest.mark.parametrize("seed", range(6))
def test_closest_pair_is_that_of_all_images(seed):
    rng = np.random.default_rng(seed)
    cell = np.diag(rng.uniform(4, 9, 3)) + rng.normal(size=(3, 3)) * 0.8
    pbc = rng.random(3) < 0.7
    positions = rng.random((40, 3)) @ cell + rng.normal(size=3)
    positions += (rng.integers(-1, 2, (40, 3)) * pbc) @ cell
    shifts = np.array(list(np.ndindex(7, 7, 7))) - 3
    best = min(
        np.linalg.norm(positions[j] - positions[i] + (shifts * pbc) @ cell, axis=1).min()
        for i in range(40)
        for j in range(i)
    )
    assert best < 1.2
    first, second, distance = closest_pair_within(positions, cell, pbc, 1.2)
    assert distance == pytest.approx(best)
    assert first != second
    assert closest_pair_within(positions, cell, pbc, 0.99 * best) is None
