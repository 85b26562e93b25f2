"""Trajectories from files: formats, files that end early, restarts into the same file, what is refused."""

from pathlib import Path

import numpy as np
import pytest
from scipy.io import netcdf_file

from lizrcl_flows.errors import InputError
from lizrcl_flows.gpumd.extended_xyz import FrameFormat, format_lattice
from lizrcl_flows.gpumd.mapped_file import MappedFile
from lizrcl_flows.gpumd.netcdf_writer import NetcdfWriter
from lizrcl_flows.gpumd.orientation import standard_orientation
from lizrcl_flows.gpumd.source import open_trajectory

TRICLINIC = np.array([[11.0, 0, 0], [2.0, 12.0, 0], [-1.0, 3.0, 13.0]])
SPECIES = ["Li"] * 3 + ["Cl"] * 4


def positions_of(n_frames: int) -> np.ndarray:
    return np.random.default_rng(7).random((n_frames, len(SPECIES), 3)) @ TRICLINIC


def write_xyz(path: Path, positions: np.ndarray, times_fs, unwrapped: bool = True, species=SPECIES) -> None:
    columns = [("pos", 3, "%.10f")] + [("unwrapped_position", 3, "%.10f")] * unwrapped
    rows = FrameFormat(species, columns)
    with path.open("a") as handle:
        for frame, time in zip(positions, times_fs, strict=True):
            header = f'Time={time} pbc="T T T" {format_lattice(TRICLINIC)} energy=-1.0'
            handle.write(rows.render(header, [frame, frame + 20.0][: 1 + unwrapped]))


def write_netcdf(path: Path, positions: np.ndarray, cell: np.ndarray = TRICLINIC) -> None:
    with NetcdfWriter(path, SPECIES) as writer:
        for number, frame in enumerate(positions):
            writer.append(10.0 * number, cell, frame, unwrapped=frame + 20.0)


@pytest.mark.parametrize("name", ["run.xyz", "run.nc"])
def test_both_formats_give_the_same_frames(tmp_path: Path, name: str) -> None:
    positions = positions_of(5)
    path = tmp_path / name
    if name.endswith("xyz"):
        write_xyz(path, positions, 1e4 * np.arange(5))
    else:
        write_netcdf(path, positions)
    with open_trajectory(path) as source:
        whole = source.read()
        ions = source.read(np.array(source.species) == "Li")
        thinned = list(source.frames([4], first=1, stride=2))
    np.testing.assert_allclose(whole.positions, positions, atol=2e-6)
    np.testing.assert_allclose(whole.unwrapped, positions + 20, atol=4e-6)
    np.testing.assert_allclose(whole.cells, np.tile(TRICLINIC, (5, 1, 1)), atol=1e-12)
    np.testing.assert_allclose(whole.times_ps, 10.0 * np.arange(5))
    assert whole.species == tuple(SPECIES)
    assert ions.species == ("Li",) * 3
    np.testing.assert_array_equal(ions.positions, whole.positions[:, :3])
    assert [frame.time_ps for frame in thinned] == [10.0, 30.0]
    np.testing.assert_allclose(thinned[0].positions, positions[1, 4:5], atol=2e-6)


@pytest.mark.parametrize("name", ["run.xyz", "run.nc"])
def test_a_file_that_ends_inside_a_frame_is_used_up_to_its_last_whole_one(tmp_path: Path, name: str) -> None:
    path, positions = tmp_path / name, positions_of(4)
    write_xyz(path, positions, range(4)) if name.endswith("xyz") else write_netcdf(path, positions)
    content = path.read_bytes()
    frame = len(content) // 4 if name.endswith("xyz") else 8 + 24 + 24 + 7 * (4 + 12 + 12)
    for cut in np.random.default_rng(1).integers(len(content) - 2 * frame + 60, len(content) - 1, 12):
        path.write_bytes(content[:cut])
        with open_trajectory(path) as source:
            found = source.read()
        assert 1 <= len(found.positions) < 4
        assert found.cut_short is not None
        assert f"inside frame {len(found.positions)}" in found.cut_short
        np.testing.assert_allclose(found.positions, positions[: len(found.positions)], atol=2e-6)


def test_a_restart_into_the_same_file_repeats_no_frame(tmp_path: Path) -> None:
    path, positions = tmp_path / "dump.xyz", positions_of(6)
    write_xyz(path, positions[:4], 1e3 * np.arange(4))
    write_xyz(path, positions[2:], 1e3 * np.arange(2, 6))
    with open_trajectory(path) as source:
        found = source.read()
    assert found.n_repeated == 2
    np.testing.assert_allclose(found.positions, positions, atol=2e-6)


def test_scipy_reads_what_is_written_and_a_turned_cell_keeps_all_distances(tmp_path: Path) -> None:
    turn = np.linalg.qr(np.random.default_rng(2).normal(size=(3, 3)))[0]
    cell, positions = TRICLINIC @ turn, positions_of(2) @ turn
    write_netcdf(tmp_path / "run.nc", positions, cell)
    with netcdf_file(tmp_path / "run.nc", mmap=False) as file:
        assert file.Conventions == b"AMBER"
        assert file.variables["time"].units == b"picosecond"
        stored = np.array(file.variables["coordinates"][:], dtype=float)
    between = np.linalg.norm(stored[:, :, None] - stored[:, None], axis=-1)
    np.testing.assert_allclose(between, np.linalg.norm(positions[:, :, None] - positions[:, None], axis=-1), atol=1e-5)
    lengths, angles, rotation = standard_orientation(cell)
    with open_trajectory(tmp_path / "run.nc") as source:
        found = source.read()
    np.testing.assert_allclose(found.cells[0], cell @ rotation, atol=1e-9)
    np.testing.assert_allclose(
        found.positions[0] @ np.linalg.inv(found.cells[0]), positions[0] @ np.linalg.inv(cell), atol=1e-6
    )
    assert lengths == pytest.approx(np.linalg.norm(cell, axis=1))
    assert angles[2] == pytest.approx(np.degrees(np.arccos(cell[0] @ cell[1] / lengths[0] / lengths[1])))


def test_a_netcdf_file_without_names_needs_them(tmp_path: Path) -> None:
    write_netcdf(tmp_path / "run.nc", positions_of(2))
    content = (tmp_path / "run.nc").read_bytes().replace(b"type_names", b"type_nemas")
    (tmp_path / "run.nc").write_bytes(content)
    with pytest.raises(InputError, match="does not name its elements"):
        open_trajectory(tmp_path / "run.nc")
    with pytest.raises(InputError, match="types run up to 1, but 1 elements are named"):
        open_trajectory(tmp_path / "run.nc", ["Li"])
    assert open_trajectory(tmp_path / "run.nc", ["Na", "F"]).species == ("Na",) * 3 + ("F",) * 4
    write_xyz(tmp_path / "model.xyz", positions_of(1), [0], unwrapped=False)
    assert open_trajectory(tmp_path / "run.nc").species == tuple(SPECIES)


@pytest.mark.parametrize("later", [False, True], ids=["up to v5.6", "later"])
def test_positions_of_older_gpumd_stay_in_the_orientation_of_model_xyz(tmp_path: Path, later: bool) -> None:
    turn = np.linalg.qr(np.random.default_rng(2).normal(size=(3, 3)))[0]
    cell, positions = TRICLINIC @ turn, positions_of(2) @ turn
    write_netcdf(tmp_path / "movie.nc", positions, cell)
    with netcdf_file(tmp_path / "movie.nc", "a") as file:
        file.program = "GPUMD"
        if later:
            file.gpumd_quantities = "unwrapped_position"
        else:
            file.variables["coordinates"][:] = positions
            file.variables["unwrapped_coordinates"][:] = positions + 20.0
    rows = FrameFormat(SPECIES, [("pos", 3, "%.10f")])
    (tmp_path / "model.xyz").write_text(rows.render(format_lattice(cell), [positions[0]]))
    with open_trajectory(tmp_path / "movie.nc") as source:
        found = source.read()
    fractional = found.positions @ np.linalg.inv(found.cells)
    np.testing.assert_allclose(fractional, positions @ np.linalg.inv(cell), atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(found.cells[0], axis=1), np.linalg.norm(cell, axis=1))
    if not later:
        np.testing.assert_allclose(found.cells[1], cell, atol=1e-9)


def test_a_direction_that_is_not_periodic_has_no_length_in_netcdf_and_is_refused(tmp_path: Path) -> None:
    write_netcdf(tmp_path / "run.nc", positions_of(2))
    with netcdf_file(tmp_path / "run.nc", "a") as file:
        file.variables["cell_lengths"][1, 2] = 0.0
    with (
        open_trajectory(tmp_path / "run.nc") as source,
        pytest.raises(InputError, match="frame 1: the cell has no volume; one that is periodic in all directions"),
    ):
        source.read()


def test_what_was_read_of_a_mapped_file_does_not_stay_in_memory(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("lizrcl_flows.gpumd.mapped_file._PIECE", 1 << 20)
    content = np.random.default_rng(3).integers(0, 256, 1 << 24, dtype=np.uint8)
    path = tmp_path / "run.dat"
    path.write_bytes(content.tobytes())

    def resident_mb() -> float:
        lines = Path("/proc/self/smaps").read_text().split(str(path))[1].splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("Rss:")) / 1024

    file = MappedFile(path)
    assert file.bytes.sum(dtype=np.int64) == content.sum(dtype=np.int64)
    assert resident_mb() > 15
    for start in range(0, 1 << 24, 1 << 18):
        file.passed(start)
        np.testing.assert_array_equal(file.bytes[start : start + 99], content[start : start + 99])
    assert resident_mb() < 6
    assert file.bytes.sum(dtype=np.int64) == content.sum(dtype=np.int64)


@pytest.mark.parametrize("name", ["run.xyz", "run.nc"])
def test_frames_are_let_go_of_and_can_be_read_again(tmp_path: Path, name: str, monkeypatch) -> None:
    let_go = []
    passed = MappedFile.passed
    monkeypatch.setattr("lizrcl_flows.gpumd.mapped_file._PIECE", 1)
    monkeypatch.setattr(MappedFile, "passed", lambda file, at: (let_go.append(at), passed(file, at))[1])
    positions, path = positions_of(60), tmp_path / name
    write_xyz(path, positions, range(60)) if name.endswith("xyz") else write_netcdf(path, positions)
    with open_trajectory(path) as source:
        for select in (None, [0, 3]):
            let_go.clear()
            found = source.read(select)
            assert max(let_go) > 0.95 * path.stat().st_size
            np.testing.assert_allclose(found.positions[:, 0], positions[:, 0], atol=2e-6)


def test_formats_of_ase_are_read(tmp_path: Path) -> None:
    from ase import Atoms
    from ase.io import write

    frames = [Atoms(SPECIES, positions=frame, cell=TRICLINIC, pbc=True) for frame in positions_of(3)]
    write(tmp_path / "XDATCAR", frames, format="vasp-xdatcar")
    with open_trajectory(tmp_path / "XDATCAR") as source:
        found = source.read()
    assert source.format == "ase:vasp-xdatcar"
    assert found.positions.shape == (3, 7, 3)
    assert found.times_ps is None


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "the file is empty"),
        (b"\x00\x01\x02 nothing", "is no trajectory that can be read|cannot be read as"),
        (b'2\nLattice="9 0 0 0 9 0 0 0 9" Properties=species:S:1:pos:R:3\nLi 0 0 0\n', "ends inside its first frame"),
        (b'1\nLattice="9 0 0 0 9 0 0 0" Properties=species:S:1:pos:R:3\nLi 0 0 0\n', "should be 9 numbers"),
        (b'1\nLattice="9 0 0 0 9 0 0 0 9" Properties=species:S:1:pos:R:3\nLi 0 zero 0\n', "the line of atom 0"),
        (
            b'1\nLattice="9 0 0 0 9 0 0 0 0" Properties=species:S:1:pos:R:3\nLi 0 0 0\n',
            "frame 0: the cell has no volume",
        ),
        (b"\x89HDF\r\n\x1a\n", "compressed NetCDF .HDF5.(, which needs h5py|: )"),
        (b"CDF\x02\x00\x00\x00\x01\x00\x00\x00\x07", "header of this NetCDF file is damaged"),
    ],
)
def test_what_cannot_be_read_is_told_in_one_sentence(tmp_path: Path, content: bytes, sentence: str) -> None:
    path = tmp_path / "run.dat"
    path.write_bytes(content)
    with pytest.raises(InputError, match=sentence) as caught, open_trajectory(path) as source:
        source.read()
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_atoms_that_change_their_order_or_number_are_refused(tmp_path: Path) -> None:
    path, positions = tmp_path / "dump.xyz", positions_of(2)
    write_xyz(path, positions[:1], [0])
    write_xyz(path, positions[1:], [1], species=SPECIES[::-1])
    with pytest.raises(InputError, match="frame 1: atom 0 is Cl, in the first frame it is Li"):
        open_trajectory(path).read()
    path.unlink()
    write_xyz(path, positions[:1], [0])
    write_xyz(path, positions[1:, :5], [1], species=SPECIES[:5])
    with pytest.raises(InputError, match="frame 1 has 5 atoms, the first frame has 7"):
        open_trajectory(path).read()
