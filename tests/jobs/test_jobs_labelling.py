"""A label that takes its worker with it is given up after some deaths: FireWorks itself would try for ever."""

import multiprocessing
import os
import signal

from lizrcl_flows.documents import Origin, Structure
from lizrcl_flows.engines.labelling.base import LabelResult
from lizrcl_flows.errors import EngineError
from lizrcl_flows.jobs.labelling import MAX_STARTS, _attempt

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
    def label(self, structure, directory):
        os.kill(os.getpid(), signal.SIGKILL)


class Refusing:
    def label(self, structure, directory):
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
        accepted=False, reason=f"the worker died {MAX_STARTS} times while it computed this label"
    )


def test_an_engine_that_refuses_is_a_failed_label_with_its_sentence(tmp_path):
    assert _attempt(Refusing(), ATOM, tmp_path).reason == "the program is not installed"
