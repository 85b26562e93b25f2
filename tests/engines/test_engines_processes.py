"""Programs are found, ended at their limit, and never left behind to write into a directory that is used again."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lizrcl_flows.engines.finished import finished_facts, inputs_sha256, mark_finished
from lizrcl_flows.engines.processes import (
    Finished,
    find_program,
    is_ours,
    last_words,
    run_program,
    sole_use,
    version_in,
)
from lizrcl_flows.errors import EngineError

WORKER = """
import sys
from pathlib import Path
from lizrcl_flows.engines.processes import run_program, sole_use
directory = Path(sys.argv[1])
with sole_use(directory) as lock:
    run_program([sys.executable, "-c", "import time; print('started', flush=True); time.sleep(60)"], directory, lock)
"""


def python(code):
    return [sys.executable, "-c", code]


def wait_for(condition, seconds=20):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_output_status_and_threads_are_kept(tmp_path):
    code = "import os, sys; print('hello'); print(os.environ['OMP_NUM_THREADS'], file=sys.stderr); sys.exit(3)"
    with sole_use(tmp_path) as lock:
        finished = run_program(python(code), tmp_path, lock, threads=2)
    assert finished.status == 3
    assert finished.in_words() == "ended with exit status 3"
    assert (tmp_path / "stdout.txt").read_text() == "hello\n"
    assert last_words(tmp_path) == "2"


def test_a_program_is_ended_at_its_time_limit(tmp_path):
    with sole_use(tmp_path) as lock:
        finished = run_program(python("import time; time.sleep(60)"), tmp_path, lock, time_limit_s=0.3)
    assert finished.status is None
    assert finished.wall_s < 20
    assert "time limit" in finished.in_words()


def test_a_signal_is_named():
    assert Finished(-9, 1.0).in_words() == "was ended by signal 9 (SIGKILL)"


def test_a_missing_program_is_one_sentence():
    with pytest.raises(
        EngineError, match=r"program 'no-such-nep' is neither on the PATH nor in .*set LIZRCL_NEP_COMMAND"
    ):
        find_program("no-such-nep --fast", "LIZRCL_NEP_COMMAND")
    with pytest.raises(EngineError, match="names no program"):
        find_program(" ", "LIZRCL_NEP_COMMAND")


def test_a_program_beside_python_is_found_without_the_path(monkeypatch):
    monkeypatch.setenv("PATH", "")
    words = find_program("lizrcl-nep --quiet", "LIZRCL_NEP_COMMAND")
    assert words == [str(Path(sys.executable).parent / "lizrcl-nep"), "--quiet"]
    assert is_ours(words, "lizrcl-nep")
    assert not is_ours(["/opt/gpumd/nep"], "lizrcl-nep")


@pytest.mark.parametrize(
    ("banner", "version"),
    [("***  GPUMD version 5.6  ***", "5.6"), ("lizrcl-nep version 0.1.0 on x86_64", "0.1.0"), ("hello", "unknown")],
)
def test_version_is_read_from_the_banner(banner, version, tmp_path):
    (tmp_path / "stdout.txt").write_text(banner + "\n")
    assert version_in(tmp_path) == version


def test_an_orphan_of_a_killed_worker_is_ended_and_the_directory_used_again(tmp_path):
    worker = subprocess.Popen([sys.executable, "-c", WORKER, str(tmp_path)])
    said = tmp_path / "stdout.txt"
    wait_for(lambda: said.exists() and said.read_text() == "started\n")
    orphan = int((tmp_path / "running.lock").read_text().split()[0])
    worker.send_signal(signal.SIGKILL)
    worker.wait()
    assert Path(f"/proc/{orphan}").exists()
    with sole_use(tmp_path) as lock:
        assert run_program(python("print('again')"), tmp_path, lock).status == 0
    assert said.read_text() == "again\n"
    wait_for(lambda: not Path(f"/proc/{orphan}/cwd").exists())


def test_a_program_whose_worker_lives_is_left_alone(tmp_path, monkeypatch):
    monkeypatch.setattr("lizrcl_flows.engines.processes._PATIENCE_S", 0.3)
    worker = subprocess.Popen([sys.executable, "-c", WORKER, str(tmp_path)])
    try:
        said = tmp_path / "stdout.txt"
        wait_for(lambda: said.exists() and said.read_text() == "started\n")
        running = int((tmp_path / "running.lock").read_text().split()[0])
        with pytest.raises(EngineError, match=f"another program .process {running} of {worker.pid}. is still running"):
            sole_use(tmp_path).__enter__()
        assert Path(f"/proc/{running}").exists()
    finally:
        os.kill(running, signal.SIGKILL)
        worker.wait()


def test_finished_runs_are_known_by_their_inputs(tmp_path):
    inputs = {"nep.in": b"type 1 Li\n", "train.xyz": b"1\n"}
    digest = inputs_sha256(inputs)
    assert inputs_sha256(dict(reversed(inputs.items()))) == digest
    assert inputs_sha256({**inputs, "nep.in": b"type 1 Na\n"}) != digest
    assert finished_facts(tmp_path, digest) is None
    mark_finished(tmp_path, digest, wall_s=2.5)
    assert finished_facts(tmp_path, digest) == {"wall_s": 2.5}
    assert finished_facts(tmp_path, "0" * 64) is None
