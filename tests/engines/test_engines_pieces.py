"""Runs in pieces: the same frames at the same times as in one run, whatever happens between the pieces."""

import json
import os
import pickle
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lizrcl_flows.engines.dynamics.ase import AseDynamics
from lizrcl_flows.engines.dynamics.base import DynamicsRequest, RunStage, UnfinishedRunError
from lizrcl_flows.engines.dynamics.gpumd import GpumdDynamics
from lizrcl_flows.engines.dynamics.gpumd_files import run_in_of
from lizrcl_flows.engines.dynamics.joining import Sampled, join
from lizrcl_flows.engines.dynamics.pieces import MAX_STARTS, next_part, piece_seed
from lizrcl_flows.errors import EngineError, InputError
from lizrcl_flows.gpumd import read_dump_xyz, read_model_xyz, read_thermo, render_run_in
from lizrcl_flows.gpumd.extended_xyz import FrameFormat, format_lattice
from lizrcl_flows.gpumd.netcdf_writer import standard_orientation
from lizrcl_flows.gpumd.release import NEWEST
from lizrcl_flows.gpumd.source import open_trajectory

OURS = GpumdDynamics(command="lizrcl-gpumd")

WORKER = """
import pickle, sys
from pathlib import Path
engine, request, directory = pickle.loads(Path(sys.argv[1]).read_bytes())
engine.run(request, directory)
"""


@pytest.fixture(scope="module")
def request_in_pieces(crystal, potential):
    """27 atoms: 20 steps at 300 K, heated in 60 to 600 K, 20 there, then 150 sampled; no piece longer than 40."""
    return DynamicsRequest(
        structure=crystal,
        potentials=[potential],
        elements=("Li", "Zr", "Cl"),
        ensemble="npt",
        temperature_k=600.0,
        pressure_gpa=0.0,
        stages=(RunStage(20, 300.0, 300.0), RunStage(60, 300.0, 600.0)),
        equilibration_steps=20,
        steps=150,
        time_step_fs=1.0,
        sample_every=10,
        correct_velocity_every=10,
        seed=7,
        piece_steps=49,
    )


@pytest.fixture(scope="module")
def undisturbed(request_in_pieces, tmp_path_factory):
    """What the run leaves where nobody stops it: eight pieces, four of them with frames."""
    return OURS.run(request_in_pieces, tmp_path_factory.mktemp("undisturbed"))


def test_the_parts_of_a_run_cover_it_once_and_end_at_frames(request_in_pieces):
    parts, done = [], 0
    while done < 250:
        parts.append(next_part(request_in_pieces, done))
        done += parts[-1].steps
    assert [part.steps for part in parts] == [20, 49, 11, 20, 40, 40, 40, 30]
    assert [part.stage is None for part in parts] == [False] * 4 + [True] * 4
    ramp = [part.stage for part in parts[1:3]]
    assert (ramp[0].start_k, ramp[0].end_k) == (300.0, 545.0)
    assert (ramp[1].start_k, ramp[1].end_k) == (545.0, 600.0)


def test_a_piece_goes_on_from_a_restart_with_a_seed_of_its_own(request_in_pieces, undisturbed, tmp_path):
    whole = replace(request_in_pieces, piece_steps=None, steps=40)
    text = render_run_in(run_in_of(whole, OURS, ["nep.txt"]), NEWEST)
    assert text.splitlines()[1] == "velocity 300 seed 7"
    temperatures = [line.split()[2:4] for line in text.splitlines() if line.startswith("ensemble")]
    assert temperatures == [["300", "300"], ["300", "600"], ["600", "600"], ["600", "600"]]
    assert text.count("correct_velocity 10\n") == 4
    piece = replace(whole, stages=(), equilibration_steps=0, start=tmp_path / "restart.xyz", keeps_restart=True)
    text = render_run_in(run_in_of(piece, OURS, ["nep.txt"]), NEWEST)
    assert "dump_restart 40\nrun 40\n" in text
    second = undisturbed.trajectory.parents[1] / "piece_001" / "gpumd"
    assert f"velocity 300 seed {piece_seed(7, 1)}\n" in (second / "run.in").read_text()
    assert (
        "The velocities are those of model.xyz; 'velocity' lines have no effect." in (second / "stdout.txt").read_text()
    )
    left, taken = (
        read_model_xyz(second.parents[1] / "piece_000/gpumd/restart.xyz"),
        read_model_xyz(second / "model.xyz"),
    )
    assert (left.velocities == taken.velocities).all()


def test_pieces_give_the_frames_of_one_run(request_in_pieces, undisturbed, tmp_path):
    whole, result = OURS.run(replace(request_in_pieces, piece_steps=None), tmp_path / "whole"), undisturbed
    assert (result.n_pieces, whole.n_pieces) == (8, 1)
    assert (result.health.status, result.fault, result.seeded) == ("ok", "", True)
    frames, expected = list(read_dump_xyz(result.trajectory)), list(read_dump_xyz(whole.trajectory))
    assert len(frames) == result.n_frames == whole.n_frames == 15
    assert [frame.time_fs for frame in frames] == [frame.time_fs for frame in expected]
    assert frames[0].time_fs == 110.0
    rows = read_thermo(result.trajectory.with_name("thermo.out"))
    assert len(rows.temperature_k) == len(read_thermo(whole.trajectory.with_name("thermo.out")).temperature_k)
    table = json.loads(result.trajectory.with_name("pieces.json").read_text())
    assert [row["seed"] for row in table] == [piece_seed(7, number) for number in range(8)]


def test_every_engine_runs_in_pieces(request_in_pieces, potential, tmp_path):
    short = replace(request_in_pieces, stages=(), equilibration_steps=0, steps=60, piece_steps=30)
    result = AseDynamics("nep", str(potential)).run(short, tmp_path / "ase")
    assert (result.n_pieces, result.n_frames, result.seeded) == (2, 6, True)
    theirs = OURS.run(short, tmp_path / "gpumd")
    for one, other in zip(read_dump_xyz(result.trajectory), read_dump_xyz(theirs.trajectory), strict=True):
        assert one.time_fs == other.time_fs
        assert one.unwrapped_positions == pytest.approx(other.unwrapped_positions, abs=1e-6)


def test_unwrapped_positions_go_on_across_pieces_also_where_the_cell_moves(undisturbed):
    frames = list(read_dump_xyz(undisturbed.trajectory))
    paths = np.array([frame.unwrapped_positions for frame in frames])
    wrapped = np.array([frame.positions for frame in frames])
    cells = np.array([frame.cell for frame in frames])
    assert np.ptp(np.linalg.det(cells)) > 0.1
    fractional = np.linalg.solve(cells.transpose(0, 2, 1), wrapped.transpose(0, 2, 1)).transpose(0, 2, 1)
    steps = np.diff(fractional, axis=0)
    crossed = np.rint(steps)
    assert crossed[[3, 7, 11]].any()  # some atom crosses a boundary where one piece ends and the next begins
    nearest = (steps - crossed) @ (cells[1:] + cells[:-1]) / 2
    change = np.abs(np.diff(cells, axis=0)).max()
    assert np.abs(np.diff(paths, axis=0) - nearest).max() < 2 * 3 * change
    images = (paths - wrapped) @ np.linalg.inv(cells)  # as in one run of lizrcl-gpumd: whole cell vectors at any time
    assert images == pytest.approx(np.rint(images), abs=1e-8)
    assert np.abs(np.diff(np.rint(images), axis=0) + crossed).max() == 0


def test_netcdf_is_written_where_it_is_asked_for(request_in_pieces, tmp_path):
    short = replace(request_in_pieces, stages=(), equilibration_steps=0, steps=80)
    result = OURS.run(replace(short, trajectory_format="netcdf"), tmp_path / "netcdf")
    assert (result.trajectory.name, result.n_frames, result.n_pieces) == ("all.nc", 8, 2)
    expected = list(read_dump_xyz(OURS.run(short, tmp_path / "xyz").trajectory))
    with open_trajectory(result.trajectory) as source:
        found = source.read()
    assert found.species == expected[0].species
    for unwrapped, frame in zip(found.unwrapped, expected, strict=True):
        _, _, turn = standard_orientation(frame.cell)
        assert unwrapped == pytest.approx(frame.unwrapped_positions @ turn, abs=1e-5)


def test_a_program_that_adds_up_displacements_goes_on_by_a_constant(request_in_pieces, tmp_path):
    """GPUMD's unwrapped positions do not follow the cell: their difference to the wrapped ones is no cell vector."""
    drift = np.array([[0.0, 0.0, 0.0], [8.03, 0.0, 0.0]])
    pieces = []
    for number, edge in enumerate((8.0, 8.2)):
        work = tmp_path / f"piece_{number:03d}" / "gpumd"
        work.mkdir(parents=True)
        (work / "thermo.out").touch()
        (work / "model.xyz").touch()
        (work / "run.in").touch()
        (work.parent / "piece.json").write_text("{}")
        layout = FrameFormat(("Li", "Cl"), [("pos", 3, "%.10f"), ("unwrapped_position", 3, "%.10f")])
        wrapped = np.array([[1.0, 1.0, 1.0], [0.1 + number / 10, 2.0, 3.0]])
        text = layout.render(format_lattice(np.eye(3) * edge), [wrapped, wrapped + (drift if number == 0 else 0)])
        (work / "dump.xyz").write_text(text)
        pieces.append(Sampled(work, "dump.xyz", 40 * number, 1))
    joined = join(request_in_pieces, pieces, [piece.work for piece in pieces], tmp_path, "digest")
    last = list(read_dump_xyz(joined.trajectory))[-1]
    assert last.unwrapped_positions == pytest.approx(np.array([[1.0, 1.0, 1.0], [8.23, 2.0, 3.0]]))


def test_a_run_stops_between_pieces_where_told_and_goes_on_from_there(request_in_pieces, undisturbed, tmp_path):
    asked = []

    def three_more(expected_s):
        asked.append(expected_s)
        return len(asked) % 4 != 0

    stops = []
    while True:
        try:
            result = OURS.run(request_in_pieces, tmp_path / "run", three_more)
        except UnfinishedRunError as stop:
            stops.append((stop.n_new, stop.done, stop.steps))
        else:
            break
    assert stops == [(3, 80, 250), (3, 180, 250)]
    assert asked[0] == 0 < min(asked[1:])
    assert result.trajectory.read_bytes() == undisturbed.trajectory.read_bytes()
    assert (result.thermo, result.inputs_sha256) == (undisturbed.thermo, undisturbed.inputs_sha256)
    assert OURS.run(request_in_pieces, tmp_path / "run") == result


def test_other_pieces_than_before_go_on_from_what_is_done(request_in_pieces, tmp_path):
    short = replace(request_in_pieces, stages=())
    with pytest.raises(UnfinishedRunError):
        OURS.run(short, tmp_path, lambda _: not (tmp_path / "piece_001").exists())
    result = OURS.run(replace(short, piece_steps=1000), tmp_path)
    assert (result.n_pieces, result.n_frames) == (3, 15)
    other = OURS.run(replace(short, piece_steps=1000, temperature_k=500.0), tmp_path)
    assert other.n_pieces == 2


def test_after_kill_9_only_the_piece_that_ran_is_repeated(request_in_pieces, tmp_path):
    request = replace(request_in_pieces, stages=(), equilibration_steps=0, steps=600, piece_steps=200, sample_every=20)
    undisturbed = OURS.run(request, tmp_path / "undisturbed")
    (tmp_path / "task").write_bytes(pickle.dumps((OURS, request, tmp_path / "killed")))
    worker = subprocess.Popen([sys.executable, "-c", WORKER, str(tmp_path / "task")])
    second = tmp_path / "killed" / "piece_002"
    deadline = time.monotonic() + 60
    while not ((second / "gpumd" / "dump.xyz").exists() and (second / "gpumd" / "dump.xyz").stat().st_size):
        assert time.monotonic() < deadline
        time.sleep(0.005)
    program = int((second / "running.lock").read_text().split()[0])
    worker.kill()
    worker.wait()
    os.kill(program, signal.SIGKILL)
    assert not (second / "piece.json").exists()
    finished = {path: path.stat().st_mtime_ns for path in (tmp_path / "killed").glob("*/piece.json")}
    assert len(finished) == 2
    result = OURS.run(request, tmp_path / "killed")
    assert {path: path.stat().st_mtime_ns for path in finished} == finished
    assert result.trajectory.read_bytes() == undisturbed.trajectory.read_bytes()
    assert result.thermo == undisturbed.thermo


def test_a_run_that_blows_up_in_a_later_piece_keeps_the_frames_before(request_in_pieces, tmp_path):
    wild = {"ensemble": "nvt", "time_step_fs": 20.0, "steps": 4000, "piece_steps": 20, "sample_every": 1}
    request = replace(request_in_pieces, stages=(), equilibration_steps=0, temperature_k=1500.0, **wild)
    result = OURS.run(request, tmp_path)
    assert result.health.status == "blown_up"
    assert result.n_pieces > 1
    assert result.health.last_step > 20 * (result.n_pieces - 1)
    assert len(list(read_dump_xyz(result.trajectory))) == result.n_frames >= 20 * (result.n_pieces - 1)


def test_a_piece_that_no_worker_finishes_is_told_in_a_sentence(request_in_pieces, tmp_path):
    place = tmp_path / "piece_000"
    place.mkdir()
    (place / "starts").write_text(str(MAX_STARTS))
    with pytest.raises(
        EngineError, match=r"piece 0 of the run \(20 steps from step 0 on\) was begun 3 times and never"
    ):
        OURS.run(request_in_pieces, tmp_path)
    assert not (place / "starts").exists()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"piece_steps": 5}, "piece_steps 5 is not accepted: a piece holds one frame at least"),
        ({"active_threshold": 0.3}, "frames are chosen by `active` cannot be done in pieces"),
    ],
)
def test_what_cannot_be_done_in_pieces_says_why(changes, words, request_in_pieces, tmp_path):
    with pytest.raises(InputError, match=words):
        OURS.run(replace(request_in_pieces, **changes), Path(tmp_path))
