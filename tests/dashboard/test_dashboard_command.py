"""`lizrcl dashboard serve` as people start it."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

pytestmark = pytest.mark.mongo


def serve(arguments: list[str], **environment: str) -> "subprocess.Popen[str]":
    command = [str(Path(sys.executable).parent / "lizrcl"), "dashboard", "serve", *arguments]
    bare = {name: value for name, value in os.environ.items() if not name.startswith("LIZRCL_")}
    return subprocess.Popen(command, env=bare | environment, stderr=subprocess.PIPE, text=True)


def test_it_serves_until_it_is_interrupted(sample: Any) -> None:
    settings = sample.settings
    place = {"LIZRCL_DB_URI": str(settings.db_uri), "LIZRCL_DB_NAME": settings.db_name}
    with serve(["--port", "0"], LIZRCL_DATA_DIR=str(settings.data_dir), **place) as running:
        assert running.stderr is not None
        try:
            told = running.stderr.readline()
            found = re.match(r"(http://127\.0\.0\.1:\d+)/", told)
            assert found, told
            assert "shown" in httpx.get(f"{found.group(1)}/", timeout=30).text
        finally:
            running.send_signal(signal.SIGINT)
        assert running.wait(timeout=20) in (0, 130)
        assert "Traceback" not in running.stderr.read()


def test_beyond_loopback_it_asks_for_a_token(tmp_path: Path) -> None:
    with serve(["--host", "0.0.0.0", "--port", "0"], LIZRCL_DATA_DIR=str(tmp_path)) as refused:
        said = refused.communicate(timeout=60)[1]
    assert refused.returncode == 2
    assert "--token or LIZRCL_DASHBOARD_TOKEN is needed" in said
    assert said.count("\n") == 1
