"""One pass over a trajectory: which paths, samples and times come out of files of every kind, and what is refused."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from lizrcl_flows.errors import InputError
from lizrcl_flows.gpumd.extended_xyz import FrameFormat, format_lattice
from lizrcl_flows.gpumd.netcdf_writer import NetcdfWriter
from lizrcl_flows.gpumd.source import open_trajectory
from lizrcl_flows.science.analysis.run import LONGEST_STEP, N_SAMPLES, RunData, collect

SPECIES = ("Cl", "Li", "Zr", "Li", "Cl", "Li", "O", "Cl", "Li", "Cl")
IONS = np.array([symbol == "Li" for symbol in SPECIES])
TRICLINIC = np.array([[9.0, 0.0, 0.0], [-4.0, 8.0, 0.0], [1.0, -2.0, 10.0]])
N_FRAMES, DT_PS = 40, 2.0

Floats = np.ndarray


class Walk:
    """Fractional paths of atoms that wander off over several cells, in a cell that breathes and shears.

    The framework vibrates about its sites and its mean stands still, so the answer is known: the steps of the ions.
    """

    def __init__(self, n_frames: int = N_FRAMES, breathing: float = 0.0, seed: int = 4) -> None:
        rng = np.random.default_rng(seed)
        shape = (n_frames, len(SPECIES), 3)
        self.steps = rng.normal(scale=0.15, size=shape).clip(-0.3, 0.3)
        self.steps[0] = 0.0
        self.fractions = rng.random(shape[1:]) + np.cumsum(self.steps, axis=0)
        sites = rng.random((int((~IONS).sum()), 3))
        vibration = rng.normal(scale=0.02, size=(n_frames, len(sites), 3))
        self.fractions[:, ~IONS] = sites + vibration - vibration.mean(axis=1, keepdims=True)
        strains = np.eye(3) + breathing * rng.normal(size=(n_frames, 3, 3))
        self.cells = np.einsum("ij,tjk->tik", TRICLINIC, strains)

    @property
    def wrapped(self) -> Floats:
        return np.einsum("tni,tij->tnj", self.fractions % 1.0, self.cells)

    @property
    def unwrapped(self) -> Floats:
        """Positions that the cell carries along."""
        return np.einsum("tni,tij->tnj", self.fractions, self.cells)

    @property
    def travelled(self) -> Floats:
        """Positions that only the atoms' own steps change, each in the cell of its frame."""
        own = np.einsum("tni,tij->tnj", np.diff(self.fractions, axis=0), self.cells[1:])
        first = self.fractions[0] @ self.cells[0]
        return np.concatenate([first[None], first + np.cumsum(own, axis=0)])

    @property
    def displacements(self) -> Floats:
        """What the paths of the ions must show, from the first frame on."""
        return (self.travelled - self.travelled[0])[:, IONS]


def write_xyz(path: Path, walk: Walk, unwrapped: Floats | None = None, shift: Floats | float = 0.0, times=None) -> Path:
    """Write frames; each atom is shifted and wrapped again where there are unwrapped positions to tell its images."""
    columns = [("pos", 3, "%.10f")] + [("unwrapped_position", 3, "%.10f")] * (unwrapped is not None)
    rows = FrameFormat(SPECIES, columns)
    times = 1e3 * DT_PS * np.arange(len(walk.cells)) if times is None else times
    with path.open("a") as handle:
        for number, (cell, place) in enumerate(zip(walk.cells, walk.wrapped + shift, strict=True)):
            told = [] if unwrapped is None else [unwrapped[number]]
            time = "" if times[number] is None else f"Time={times[number]:.6f} "
            handle.write(rows.render(f'{time}pbc="T T T" {format_lattice(cell, "%.15g")}', [place, *told]))
    return path


def write_netcdf(path: Path, walk: Walk, unwrapped: Floats | None = None) -> Path:
    with NetcdfWriter(path, SPECIES, double=True) as writer:
        for number, cell in enumerate(walk.cells):
            told = None if unwrapped is None else unwrapped[number]
            writer.append(DT_PS * number, cell, walk.wrapped[number], unwrapped=told)
    return path


def collected(path: Path, **options) -> RunData:
    with open_trajectory(path) as source:
        return collect(source, "Li", **options)


def moved(run: RunData) -> Floats:
    return np.asarray(run.paths - run.paths[0], dtype=np.float64)


@pytest.mark.parametrize("breathing", [0.0, 0.004], ids=["constant", "breathing"])
@pytest.mark.parametrize("told", [None, "unwrapped", "travelled"])
def test_wrapped_and_unwrapped_files_of_either_kind_give_the_same_paths(tmp_path: Path, told, breathing) -> None:
    walk = Walk(breathing=breathing)
    assert np.abs(walk.fractions).max() > 1.5  # else nothing crosses a boundary
    run = collected(write_xyz(tmp_path / "run.xyz", walk, told and getattr(walk, told)))
    np.testing.assert_allclose(moved(run), walk.displacements, atol=2e-5)
    np.testing.assert_allclose(run.cells, walk.cells, atol=1e-12)
    assert run.species == SPECIES
    assert run.ion == "Li"
    assert (run.n_frames, run.n_ions, run.dt_ps) == (N_FRAMES, IONS.sum(), DT_PS)
    assert run.volume_a3 == pytest.approx(np.linalg.det(walk.cells).mean())
    np.testing.assert_array_equal(run.ions, IONS)
    np.testing.assert_allclose(run.times_ps, DT_PS * np.arange(N_FRAMES))


def test_netcdf_gives_the_same_paths_in_its_own_orientation(tmp_path: Path) -> None:
    walk = Walk()  # the cell stands in the standard orientation already
    for unwrapped in (None, walk.unwrapped):
        run = collected(write_netcdf(tmp_path / "run.nc", walk, unwrapped))
        np.testing.assert_allclose(moved(run), walk.displacements, atol=2e-5)
        assert run.dt_ps == DT_PS


def test_samples_are_whole_frames_of_the_same_paths(tmp_path: Path) -> None:
    run = collected(write_xyz(tmp_path / "run.xyz", Walk(breathing=0.004)), n_samples=6)
    np.testing.assert_array_equal(run.samples[:, IONS], run.paths[run.sample_frames])
    framework = run.samples[:, ~IONS].mean(axis=1)
    np.testing.assert_allclose(framework, np.tile(framework[:1], (len(framework), 1)), atol=1e-4)


@pytest.mark.parametrize("told", [None, "unwrapped"])
def test_a_drift_of_everything_moves_no_ion(tmp_path: Path, told) -> None:
    walk = Walk()
    drift = 1.1 * np.arange(N_FRAMES)[:, None, None] * np.array([1.0, -0.7, 0.4])
    place = walk.unwrapped
    place[:, IONS] = place[:1, IONS]
    place = place + drift
    walk.fractions = np.einsum("tni,tij->tnj", place, np.linalg.inv(walk.cells))
    run = collected(write_xyz(tmp_path / "run.xyz", walk, told and place))
    assert np.abs(drift[-1]).max() > 4 * 9.0  # across several cells
    np.testing.assert_allclose(moved(run), 0.0, atol=2e-5)


def test_a_breathing_cell_moves_no_ion_that_keeps_its_place_in_it(tmp_path: Path) -> None:
    walk = Walk(breathing=0.02)
    walk.fractions[:] = walk.fractions[0]
    for told in (None, walk.unwrapped):
        run = collected(write_xyz(tmp_path / "run.xyz", walk, told))
        np.testing.assert_allclose(moved(run), 0.0, atol=2e-5)
        (tmp_path / "run.xyz").unlink()


def test_without_a_framework_the_centre_of_the_ions_stands_still(tmp_path: Path) -> None:
    walk = Walk()
    path = write_xyz(tmp_path / "run.xyz", walk)
    path.write_text(re.sub(r"^(Cl|Zr|O) ", "Li ", path.read_text(), flags=re.MULTILINE))
    run = collected(path)
    assert run.n_ions == len(SPECIES)
    np.testing.assert_allclose(run.paths.mean(axis=1) - run.paths[0].mean(axis=0), 0.0, atol=2e-5)


def test_the_order_of_the_atoms_does_not_matter(tmp_path: Path) -> None:
    walk = Walk(breathing=0.004)
    straight = collected(write_xyz(tmp_path / "run.xyz", walk))
    order = np.random.default_rng(1).permutation(len(SPECIES))
    lines = (tmp_path / "run.xyz").read_text().splitlines()
    length = len(SPECIES) + 2
    shuffled = [
        line
        for start in range(0, len(lines), length)
        for line in [*lines[start : start + 2], *(lines[start + 2 + atom] for atom in order)]
    ]
    (tmp_path / "other.xyz").write_text("\n".join(shuffled) + "\n")
    run = collected(tmp_path / "other.xyz")
    assert run.species == tuple(SPECIES[atom] for atom in order)
    ions = [atom for atom in order if IONS[atom]]
    places = [int(np.flatnonzero(np.flatnonzero(IONS) == atom)[0]) for atom in ions]
    np.testing.assert_allclose(run.paths, straight.paths[:, places], atol=1e-5)
    np.testing.assert_allclose(run.samples, straight.samples[:, order], atol=1e-5)


@pytest.mark.parametrize("told", [None, "unwrapped"])
def test_a_shift_of_everything_by_1000_a_changes_nothing(tmp_path: Path, told) -> None:
    walk = Walk()
    unwrapped = told and walk.unwrapped + 1000.0
    run = collected(write_xyz(tmp_path / "run.xyz", walk, unwrapped, shift=1000.0))
    np.testing.assert_allclose(moved(run), walk.displacements, atol=3e-4)  # single precision at 1000 A


class TestSamples:
    @pytest.mark.parametrize(("n_frames", "n_samples"), [(3, 5), (9, 5), (10, 5), (11, 5), (81, 5), (40, 1), (40, 40)])
    def test_they_are_spaced_evenly_and_bounded(self, tmp_path: Path, n_frames, n_samples) -> None:
        run = collected(write_xyz(tmp_path / "run.xyz", Walk(n_frames)), n_samples=n_samples)
        steps = np.diff(run.sample_frames)
        assert run.sample_frames[0] == 0
        assert len(set(steps)) <= 1
        assert min(n_samples, n_frames) <= len(run.samples) <= 2 * n_samples
        assert n_frames - run.sample_frames[-1] <= (steps[0] if len(steps) else n_frames)

    def test_few_frames_are_all_kept(self, tmp_path: Path) -> None:
        run = collected(write_xyz(tmp_path / "run.xyz", Walk()))
        assert N_SAMPLES > N_FRAMES
        np.testing.assert_array_equal(run.sample_frames, np.arange(N_FRAMES))


class TestTimes:
    def test_the_interval_of_the_file_may_be_replaced(self, tmp_path: Path) -> None:
        path = write_xyz(tmp_path / "run.xyz", Walk())
        assert collected(path).dt_ps == DT_PS
        assert collected(path, dt_ps=0.5).dt_ps == 0.5

    def test_rounding_of_the_times_is_no_unevenness(self, tmp_path: Path) -> None:
        times = 1e3 * DT_PS * np.arange(N_FRAMES) + np.random.default_rng(0).uniform(-9, 9, N_FRAMES)
        assert collected(write_xyz(tmp_path / "run.xyz", Walk(), times=times)).dt_ps == pytest.approx(DT_PS, rel=1e-2)

    def test_a_file_without_times_needs_the_interval(self, tmp_path: Path) -> None:
        path = write_xyz(tmp_path / "run.xyz", Walk(), times=[None] * N_FRAMES)
        with pytest.raises(
            InputError, match=r"does not tell the times of its frames; the time between two is needed \(--dt-ps\)"
        ):
            collected(path)
        assert collected(path, dt_ps=10.0).times_ps[-1] == pytest.approx(10.0 * (N_FRAMES - 1))

    def test_one_time_that_is_missing_is_as_bad(self, tmp_path: Path) -> None:
        times: list[float | None] = list(1e3 * np.arange(N_FRAMES))
        times[7] = None
        with pytest.raises(InputError, match="does not tell the times of its frames"):
            collected(write_xyz(tmp_path / "run.xyz", Walk(), times=times))

    def test_uneven_times_are_refused_unless_the_interval_is_given(self, tmp_path: Path) -> None:
        times = 1e3 * np.cumsum([1, *[2] * 20, *[5] * (N_FRAMES - 21)])
        path = write_xyz(tmp_path / "run.xyz", Walk(), times=times)
        with pytest.raises(InputError, match="frames are 2 to 5 ps apart; evenly spaced ones are needed"):
            collected(path)
        assert collected(path, dt_ps=2.0).n_frames == N_FRAMES

    @pytest.mark.parametrize("dt_ps", [0.0, -1.0, float("nan"), float("inf")])
    def test_an_interval_that_is_no_time_is_refused(self, tmp_path: Path, dt_ps) -> None:
        with pytest.raises(InputError, match="ps between frames is not accepted: a time greater than 0"):
            collected(write_xyz(tmp_path / "run.xyz", Walk()), dt_ps=dt_ps)


class TestSkipping:
    @pytest.mark.parametrize(("skip_ps", "first"), [(0.0, 0), (2.0, 1), (2.1, 2), (20.0, 10), (74.0, 37)])
    def test_frames_before_that_time_are_left_out(self, tmp_path: Path, skip_ps, first) -> None:
        path = write_xyz(tmp_path / "run.xyz", Walk(breathing=0.004))
        whole, run = collected(path), collected(path, skip_ps=skip_ps)
        assert run.n_frames == N_FRAMES - first
        np.testing.assert_array_equal(run.paths, whole.paths[first:])
        np.testing.assert_array_equal(run.cells, whole.cells[first:])
        np.testing.assert_array_equal(run.samples[:, IONS], run.paths[run.sample_frames])

    def test_thinned_samples_stay_evenly_spaced(self, tmp_path: Path) -> None:
        run = collected(write_xyz(tmp_path / "run.xyz", Walk()), skip_ps=13.0, n_samples=6)
        assert run.sample_frames[0] >= 0
        assert len(set(np.diff(run.sample_frames))) == 1
        np.testing.assert_array_equal(run.samples[:, IONS], run.paths[run.sample_frames])

    @pytest.mark.parametrize("skip_ps", [-2.0, float("nan"), float("inf")])
    def test_what_is_no_time_is_refused(self, tmp_path: Path, skip_ps) -> None:
        with pytest.raises(InputError, match="to leave out at the beginning is not accepted: a time of at least 0"):
            collected(write_xyz(tmp_path / "run.xyz", Walk()), skip_ps=skip_ps)

    @pytest.mark.parametrize(("skip_ps", "left"), [(76.0, 2), (1000.0, 0)])
    def test_too_few_frames_left_are_told(self, tmp_path: Path, skip_ps, left) -> None:
        sentence = f"run.xyz: 40 frames, {left} after the first {skip_ps:g} ps; at least 3 are needed"
        with pytest.raises(InputError, match=sentence):
            collected(write_xyz(tmp_path / "run.xyz", Walk()), skip_ps=skip_ps)


class TestRefused:
    def test_a_species_that_is_not_there(self, tmp_path: Path) -> None:
        sentence = r"run.xyz: there is no Na in this trajectory; its species are Cl, Li, Zr, O$"
        path = write_xyz(tmp_path / "run.xyz", Walk())
        with open_trajectory(path) as source, pytest.raises(InputError, match=sentence):
            collect(source, "Na")

    @pytest.mark.parametrize(("n_frames", "told"), [(1, "1 frame"), (2, "2 frames")])
    def test_too_few_frames(self, tmp_path: Path, n_frames, told) -> None:
        with pytest.raises(InputError, match=f"run.xyz: {told}; at least 3 are needed to see anything move"):
            collected(write_xyz(tmp_path / "run.xyz", Walk(n_frames)))

    def test_a_jump_of_wrapped_positions_names_atom_and_frame(self, tmp_path: Path) -> None:
        walk = Walk()
        walk.fractions[:] = walk.fractions[0]
        walk.fractions[12:, 5, 1] += 0.45
        with pytest.raises(InputError) as caught:
            collected(write_xyz(tmp_path / "run.xyz", walk))
        assert "atom 5 moves by 0.45 of cell vector b from frame 11 to the next; at most 0.4" in str(caught.value)
        assert "\n" not in str(caught.value)
        (tmp_path / "run.xyz").unlink()
        run = collected(write_xyz(tmp_path / "run.xyz", walk, walk.unwrapped))
        np.testing.assert_allclose(moved(run), walk.displacements, atol=2e-5)

    def test_a_step_just_within_reach_is_followed(self, tmp_path: Path) -> None:
        walk = Walk()
        walk.fractions[:] = walk.fractions[0]
        walk.fractions[12:, 5, 1] += LONGEST_STEP - 0.01
        run = collected(write_xyz(tmp_path / "run.xyz", walk))
        np.testing.assert_allclose(moved(run), walk.displacements, atol=2e-5)

    def test_unwrapped_positions_of_another_run(self, tmp_path: Path) -> None:
        walk = Walk()
        unwrapped = walk.unwrapped
        unwrapped[9:, 3] += 0.5 * TRICLINIC[2]
        sentence = "from frame 8 to the next, wrapped and unwrapped position of atom 3 move apart by 0.50 of cell"
        with pytest.raises(InputError, match=sentence):
            collected(write_xyz(tmp_path / "run.xyz", walk, unwrapped))

    @pytest.mark.parametrize("value", ["nan", "inf"])
    @pytest.mark.parametrize("column", ["wrapped", "unwrapped"])
    def test_positions_that_are_no_numbers(self, tmp_path: Path, value, column) -> None:
        walk = Walk()
        path = write_xyz(tmp_path / "run.xyz", walk, walk.unwrapped)
        lines = path.read_text().splitlines()
        row = 5 * (len(SPECIES) + 2) + 2 + 4
        tokens = lines[row].split()
        tokens[2 if column == "wrapped" else 5] = value
        lines[row] = " ".join(tokens)
        path.write_text("\n".join(lines) + "\n")
        with pytest.raises(InputError, match=f"the position of atom 4 in frame 5 is .*{value}.*; finite numbers"):
            collected(path)


def _cut(content: bytes) -> bytes:
    return content[:-40]


def _restarted(content: bytes) -> bytes:
    lines = content.splitlines(keepends=True)
    length = len(SPECIES) + 2
    return b"".join(lines[: 30 * length] + lines[22 * length :])


@pytest.mark.parametrize(
    ("change", "n_frames", "n_repeated", "sentence"),
    [(_cut, N_FRAMES - 1, 0, f"ends inside frame {N_FRAMES - 1}"), (_restarted, N_FRAMES, 8, None)],
    ids=["cut short", "restarted into the same file"],
)
def test_what_is_wrong_with_a_file_is_carried_through(
    tmp_path: Path, change: Callable[[bytes], bytes], n_frames: int, n_repeated: int, sentence: str | None
) -> None:
    walk = Walk()
    path = write_xyz(tmp_path / "run.xyz", walk)
    path.write_bytes(change(path.read_bytes()))
    run = collected(path)
    assert run.n_frames == n_frames
    assert run.n_repeated == n_repeated
    assert (run.cut_short is None) if sentence is None else (sentence in (run.cut_short or ""))
    np.testing.assert_allclose(moved(run), walk.displacements[:n_frames], atol=2e-5)
