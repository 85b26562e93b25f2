"""Seeds and work directories of jobs."""

import multiprocessing

import pytest

from lizrcl_flows.jobs.context import derived_seed, work_directory


def test_seeds_depend_on_their_parts_alone():
    assert derived_seed(1, "train", 0, 3) == 1660175808
    assert len({derived_seed(1, "train", 0, member) for member in range(100)}) == 100
    assert all(0 <= derived_seed(i) < 2**31 for i in range(1000))


def test_a_directory_is_found_again_after_a_failure_and_gone_after_success(tmp_path, monkeypatch):
    monkeypatch.setenv("LIZRCL_WORK_DIR", str(tmp_path))

    def fail():
        with work_directory("mod_1") as directory:
            (directory / "checkpoint").write_text("half way")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    with work_directory("mod_1") as directory:
        assert (directory / "checkpoint").read_text() == "half way"
    assert not directory.exists()


def _hold(root, entered, leave):
    import os

    os.environ["LIZRCL_WORK_DIR"] = root
    with work_directory("mod_1") as directory:
        entered.put(str(directory))
        leave.wait(30)


def test_two_processes_never_share_a_directory(tmp_path, monkeypatch):
    monkeypatch.setenv("LIZRCL_WORK_DIR", str(tmp_path))
    context = multiprocessing.get_context("spawn")
    entered, leave = context.Queue(), context.Event()
    other = context.Process(target=_hold, args=(str(tmp_path), entered, leave))
    other.start()
    theirs = entered.get(timeout=30)
    with work_directory("mod_1") as directory:
        assert str(directory) != theirs
    other.kill()
    other.join()
    with work_directory("mod_1") as directory:
        assert str(directory) == theirs


def test_a_removal_that_is_cut_off_leaves_nothing_that_looks_finished(monkeypatch, tmp_path):
    """The mark of finished work may be deleted last: a kill before would leave the mark without the work."""
    monkeypatch.setenv("LIZRCL_WORK_DIR", str(tmp_path))
    removed = []
    monkeypatch.setattr("shutil.rmtree", lambda path, **_: removed.append(path))
    with work_directory("mod_0") as directory:
        (directory / "finished.json").write_text("{}")
    assert removed
    with work_directory("mod_0") as again:
        assert not list(again.iterdir())
