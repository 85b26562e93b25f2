"""A label that takes its worker with it is given up after some deaths: FireWorks itself would try for ever."""

import multiprocessing
import os
import signal
import time

import pytest

from lizrcl_flows.documents import Campaign, Origin, Structure
from lizrcl_flows.engines.labelling.base import LabelResult
from lizrcl_flows.errors import EngineError, InputError
from lizrcl_flows.jobs.initial import _affordable
from lizrcl_flows.jobs.labelling import MAX_STARTS, _attempt
from lizrcl_flows.jobs.wall_time import RESERVE_S, SLURM_END, WORKER_END, TimeIsUpError, fits, seconds_left
from lizrcl_flows.systems import load_campaign

ATOM = Structure(
    n_atoms=1,
    numbers=[3],
    cell=[[9, 0, 0], [0, 9, 0], [0, 0, 9]],
    positions=[[0, 0, 0]],
    formula="Li",
    chemical_system="Li",
    origin=Origin(kind="bundled"),
)


class Deadly:
    def label(self, structure, directory, seconds=None):
        os.kill(os.getpid(), signal.SIGKILL)


class Refusing:
    def label(self, structure, directory, seconds=None):
        raise EngineError("the program is not installed")


def _label_and_die(directory):
    _attempt(Deadly(), ATOM, directory)


def test_a_label_that_kills_its_worker_is_given_up(tmp_path):
    context = multiprocessing.get_context("spawn")
    for _ in range(MAX_STARTS):
        worker = context.Process(target=_label_and_die, args=(tmp_path,))
        worker.start()
        worker.join(60)
        assert worker.exitcode == -signal.SIGKILL
    result = _attempt(Deadly(), ATOM, tmp_path)
    assert result == LabelResult(
        accepted=False,
        reason=f"the worker died or ran out of wall time {MAX_STARTS} times while it computed this label",
    )


def test_a_worker_that_cannot_label_at_all_says_so_and_the_label_stays_open(tmp_path):
    for _ in range(MAX_STARTS + 1):
        with pytest.raises(EngineError, match="the program is not installed"):
            _attempt(Refusing(), ATOM, tmp_path)


class Slow:
    def label(self, structure, directory, seconds=None):
        return LabelResult(accepted=False, reason=f"stopped after {seconds} s", interrupted=True)


def test_a_label_that_never_fits_into_a_worker_s_time_is_given_up(tmp_path):
    for _ in range(MAX_STARTS):
        with pytest.raises(TimeIsUpError, match="stopped after 5 s"):
            _attempt(Slow(), ATOM, tmp_path, 5)
    result = _attempt(Slow(), ATOM, tmp_path, 5)
    assert not result.accepted
    assert "ran out of wall time 3 times" in result.reason


def test_the_end_of_a_worker_is_read_from_its_environment(monkeypatch):
    for name in (WORKER_END, SLURM_END):
        monkeypatch.delenv(name, raising=False)
    assert seconds_left() is None
    monkeypatch.setenv(SLURM_END, str(int(time.time()) + 600))
    assert seconds_left() == pytest.approx(600 - RESERVE_S, abs=2)
    monkeypatch.setenv(WORKER_END, str(time.time() + 100))
    assert seconds_left() == pytest.approx(100 - RESERVE_S, abs=2)
    monkeypatch.setenv(WORKER_END, "noon")
    with pytest.raises(InputError, match="LIZRCL_WORKER_END='noon' is not accepted"):
        seconds_left()


def test_a_label_is_begun_only_if_the_longest_so_far_would_fit():
    assert fits(None, 1e9)
    assert fits(0.1, 0.0)
    assert not fits(0.0, 0.0)
    assert fits(121.0, 100.0)
    assert not fits(119.0, 100.0)


def test_the_first_labels_stay_within_the_budget():
    def affordable(budget, spent=0, n_structures=32, n_holdout=12):
        spec = load_campaign(
            {
                "name": "x",
                "system": "demo",
                "initial": {"n_structures": n_structures, "n_holdout": n_holdout},
                "budget": {"labels": budget},
            }
        )
        return _affordable(Campaign(name="x", spec=spec, phases={}, labels_spent=spent))

    assert affordable(100) == affordable(44) == affordable(None) == (32, 12)
    assert affordable(30) == (23, 7)
    assert affordable(3) == (3, 0)
    assert affordable(44, spent=14) == (23, 7)
