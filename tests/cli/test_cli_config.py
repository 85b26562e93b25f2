"""`lizrcl config write`: what it writes works for FireWorks, and says no secret where it should not."""

import os
import stat
import subprocess
import sys
import time
import tomllib
import warnings
from pathlib import Path
from typing import Any

import pytest
import yaml

from lizrcl_flows.archive.cluster_config import example_files
from lizrcl_flows.settings import load_settings

ROOT = Path(__file__).parents[2]
URI = "mongodb://lizrcl_worker:s3cret@db.example/?authSource=lizrcl"


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Name a database that need not be there."""
    for name in [name for name in os.environ if name.startswith("LIZRCL_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("LIZRCL_DB_URI", URI)
    monkeypatch.setenv("LIZRCL_DATA_DIR", str(tmp_path / "data"))
    return tmp_path / "my config"


def test_the_checked_in_set_is_what_the_templates_make(lizrcl, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    outcome = lizrcl("config", "write", "--example", "--check")
    assert (outcome.code, outcome.out) == (0, ""), outcome.err


def test_a_changed_file_of_the_checked_in_set_is_noticed(lizrcl, tmp_path: Path) -> None:
    assert lizrcl("config", "write", str(tmp_path), "--example").code == 0
    assert lizrcl("config", "write", str(tmp_path), "--example", "--check").code == 0
    with (tmp_path / "jobflow.yaml").open("a") as handle:
        handle.write("more: 1\n")
    outcome = lizrcl("config", "write", str(tmp_path), "--example", "--check")
    assert outcome.code == 4
    assert "jobflow.yaml" in outcome.err
    assert outcome.out == f"{tmp_path / 'jobflow.yaml'}\n"


def test_the_set_is_private_complete_and_written_once(lizrcl, given: Path) -> None:
    outcome = lizrcl(
        "config", "write", str(given), "--queue-dft", "long", "--account", "abc", "--walltime", "2-00:00:00"
    )
    assert outcome.code == 0, outcome.err
    assert "s3cret" not in outcome.out + outcome.err
    assert stat.S_IMODE(given.stat().st_mode) == 0o700
    assert {path.name for path in given.iterdir()} == set(example_files())
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in given.iterdir())
    assert "CHANGE_ME" not in "".join(
        line for path in given.iterdir() for line in path.read_text().splitlines() if not line.startswith("#")
    )
    adapter = yaml.safe_load((given / "my_qadapter_dft.yaml").read_text())
    assert (adapter["queue"], adapter["account"], adapter["walltime"]) == ("long", "abc", "48:00:00")
    assert f"--timeout {48 * 3600 - 600} " in adapter["rocket_launch"]
    same = ("config", "write", str(given), "--queue-dft", "long", "--account", "abc", "--walltime", "48:00:00")
    assert lizrcl(*same, "--check").code == 0
    (given / "lizrcl.toml").chmod(0o644)
    outcome = lizrcl(*same, "--check")
    assert outcome.code == 4
    assert "lizrcl.toml" in outcome.err
    assert lizrcl(*same, "--dry-run").out == f"{given / 'lizrcl.toml'}\n"
    assert lizrcl(*same).out == f"{given / 'lizrcl.toml'}\n"
    assert stat.S_IMODE((given / "lizrcl.toml").stat().st_mode) == 0o600


def test_only_files_that_must_hold_the_password_do(lizrcl, given: Path) -> None:
    assert lizrcl("config", "write", str(given)).code == 0
    holding = {path.name for path in given.iterdir() if "s3cret" in path.read_text()}
    assert holding == {"my_launchpad.yaml", "jobflow.yaml", "lizrcl.toml"}


def test_the_settings_come_through_the_written_file(lizrcl, given: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIZRCL_NEP_COMMAND", 'nep "a b"')
    monkeypatch.setenv("LIZRCL_DB_TIMEOUT_S", "7.5")
    before = load_settings()
    assert lizrcl("config", "write", str(given)).code == 0
    for name in [name for name in os.environ if name.startswith("LIZRCL_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("LIZRCL_CONFIG_FILE", str(given / "lizrcl.toml"))
    assert load_settings() == before
    assert set(tomllib.loads((given / "lizrcl.toml").read_text())) == {
        *("db_uri", "db_name", "data_dir", "nep_command", "db_timeout_s")
    }


def queue_adapter(path: Path) -> Any:
    """Read a queue file as `qlaunch` does, but for the search for its class, which imports FireWorks' own tests."""
    from fireworks.user_objects.queue_adapters.common_adapter import CommonAdapter

    content = yaml.safe_load(path.read_text())
    assert content.pop("_fw_name") == "CommonAdapter"
    return CommonAdapter.from_dict(content)


@pytest.mark.parametrize("scheduler", ["slurm", "pbs"])
def test_fireworks_knows_every_key_of_the_queue_files(lizrcl, given: Path, scheduler: str) -> None:
    assert lizrcl("config", "write", str(given), "--scheduler", scheduler, "--queue-gpu", "g").code == 0
    for path in sorted(given.glob("my_qadapter_*.yaml")):
        adapter = queue_adapter(path)
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # FireWorks warns of keys that its template does not have
            script = adapter.get_script_str("/launch")
        directives = [line for line in script.splitlines() if line.startswith(("#SBATCH", "#PBS"))]
        assert any("24:00:00" in line for line in directives)
        assert any("g" in line.split() or line.endswith("=g") for line in directives) == ("gpu" in path.name)
        assert "$${" not in script
        assert subprocess.run(["bash", "-n"], input=script, text=True, check=False).returncode == 0
        assert "s3cret" not in script
        singleshot = adapter["rocket_launch"].endswith("singleshot")  # what qlaunch -r insists on
        assert singleshot == path.stem.endswith("reserved")


def test_further_keys_reach_the_scripts_of_their_category(lizrcl, given: Path) -> None:
    more = ("--set", "qos=long", "--set", "gpu.gres=gpu:a100:1", "--set", "gpu.gpus_per_node=2", "--set", "dft.mem=0")
    assert lizrcl("config", "write", str(given), *more).code == 0
    scripts = {path.stem: queue_adapter(path).get_script_str("/launch") for path in given.glob("my_qadapter_*.yaml")}
    for name, script in scripts.items():
        assert "#SBATCH --qos=long\n" in script
        assert ("--gres=gpu:a100:1" in script) == ("gpu" in name)
        assert ("--mem=0" in script) == ("dft" in name)
        assert ("--gpus-per-node=2\n" in script) == ("gpu" in name)


def test_a_site_file_is_sourced_and_left_alone(lizrcl, given: Path) -> None:
    given.mkdir()
    (given / "site.sh").write_text("export FROM_SITE=yes\n")
    assert lizrcl("config", "write", str(given)).code == 0
    command = f". {str(given / 'environment.sh')!r} && echo $FROM_SITE $FW_CONFIG_FILE"
    ran = subprocess.run(["bash", "-ec", command], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == f"yes {given / 'FW_config.yaml'}"


def test_atomate2_knows_every_key(lizrcl, given: Path) -> None:
    from atomate2.settings import Atomate2Settings

    assert lizrcl("config", "write", str(given), "--vasp-command", "mpirun -n 8 'my vasp'").code == 0
    content = yaml.safe_load((given / "atomate2.yaml").read_text())
    assert content["VASP_CMD"] == "mpirun -n 8 'my vasp'"
    assert content["CP2K_CMD"] == "srun cp2k.psmp"
    assert set(content) <= set(Atomate2Settings.model_fields)


JOB = """
from fireworks import Firework, LaunchPad, ScriptTask
launchpad = LaunchPad.auto_load()
launchpad.reset("", require_password=False)
script = "lizrcl db status --json > status.json; env > environment.txt"
launchpad.add_wf(Firework(ScriptTask.from_str(script), spec={"_category": "dft", "_launch_dir": "."}))
"""


@pytest.mark.mongo
def test_a_batch_script_runs_a_job_from_an_empty_environment(lizrcl, filled, tmp_path: Path) -> None:
    """As the scheduler would start it: no variable set, another folder; the job finds Python, queue and archive."""
    config, launch = tmp_path / "my config", tmp_path / "launch"
    launch.mkdir()
    assert lizrcl("config", "write", str(config), "--walltime", "1:00:00").code == 0
    bare = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "USER": "nobody"}
    submit = f". {str(config / 'environment.sh')!r} && python -c '{JOB}'"
    submitted = subprocess.run(
        ["bash", "-c", submit], env=bare, cwd=launch, capture_output=True, text=True, check=False
    )
    assert submitted.returncode == 0, submitted.stderr
    adapter = queue_adapter(config / "my_qadapter_dft_reserved.yaml")
    script = launch / "FW_submit.script"
    script.write_text(adapter.get_script_str(str(launch)))
    before = time.time()
    ran = subprocess.run(["bash", script], env=bare, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert filled.archive.connection["fireworks"].find_one()["state"] == "COMPLETED", ran.stdout + ran.stderr
    status = yaml.safe_load((launch / "status.json").read_text())
    assert (status["running"], status["database"]) == (True, filled.archive.database_name)
    environment = dict(
        line.split("=", 1) for line in (launch / "environment.txt").read_text().splitlines() if "=" in line
    )
    assert before + 3600 <= float(environment["LIZRCL_WORKER_END"]) + 1 < before + 3660
    assert environment["LIZRCL_CONFIG_FILE"] == str(config / "lizrcl.toml")
    assert Path(environment["PATH"].split(":")[0]) == Path(sys.prefix) / "bin"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--walltime", "24h"), "'24h' is not a wall time; give HH:MM:SS or D-HH:MM:SS"),
        (("--walltime", "00:02:00"), "--walltime 120 s is not accepted with --reserve 600 s"),
        (("--walltime", "1:00:00", "--reserve", "1:00:00"), "longer than the reserve"),
        (("--set", "gress=gpu:1"), "--set gress=gpu:1 is not accepted"),
        (("--set", "tpu.gres=gpu:1"), "cpu.KEY=VALUE, dft.KEY=VALUE, gpu.KEY=VALUE"),
        (("--scheduler", "lsf"), "'lsf' is not one of 'slurm', 'pbs'"),
    ],
)
def test_bad_input_is_one_sentence(lizrcl, given: Path, arguments: tuple[str, ...], sentence: str) -> None:
    outcome = lizrcl("config", "write", str(given), *arguments)
    assert outcome.code == 2
    assert sentence in outcome.err
    assert not given.exists()
