"""Checks of the database: whether it answers, who we are to it, what it lacks, and what is stuck in the queue."""

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from lizrcl_flows.cli.diagnosis.configuration import fireworks_settings
from lizrcl_flows.cli.diagnosis.findings import Finding, listed
from lizrcl_flows.errors import BackendError

if TYPE_CHECKING:
    from lizrcl_flows.archive import Archive
    from lizrcl_flows.cli.queue import Queue
    from lizrcl_flows.settings import Settings

LOST_AFTER_S = 600.0
"""Silence after which a job counts as lost where FW_config.yaml says nothing: twice what local workers allow (s)."""

RESERVED_AFTER_S = 14 * 24 * 3600.0
"""The same for a job that waits in the batch queue (s)."""

LOCK_S = 2.0
"""FireWorks holds a workflow for fractions of a second; a lock that is there before and after this time is stale."""

RERUN_SCRIPT = "let the owner set it again: `mongosh URI --file fw_configs/mongo-init.js`"


def database(settings: "Settings") -> Iterator[Finding]:
    """Look for a database that answers, or for the means to start one."""
    from lizrcl_flows.archive import Archive

    try:
        with Archive.connect(settings=settings, read_only=True) as archive:
            yield Finding("database", "ok", f"answers at {archive.location}")
            yield from _access(archive)
            yield from _structure(archive)
            yield from _queue(archive)
            return
    except BackendError as error:
        reason = str(error)
    if settings.db_uri:
        yield Finding("database", "problem", reason, _remedy(reason))
    else:
        yield from _embedded(settings, reason)


def _remedy(reason: str) -> str:
    if "schema version" in reason:
        return "update lizrcl_flows here: `pip install --upgrade` to the release that the other workers run"
    if "Authentication failed" in reason or "does not allow" in reason:
        return f"put the password in LIZRCL_DB_URI or lizrcl.toml right (`lizrcl config write`), or {RERUN_SCRIPT}"
    return "start that server, or unset LIZRCL_DB_URI for the embedded one (`lizrcl db start`)"


def _embedded(settings: "Settings", reason: str) -> Iterator[Finding]:
    """Say why no embedded database answers: none was started, it was killed, or it runs elsewhere."""
    from lizrcl_flows.archive import mongod
    from lizrcl_flows.archive.server import folder

    lock = folder(settings) / "db" / "mongod.lock"
    pid = lock.read_text(encoding="utf-8").strip() if lock.is_file() else ""
    if pid and mongod.running(lock.parent) is None:
        found = f"none runs; {lock} names process {pid}: it was killed, or it runs on another machine"
        yield Finding("database", "note", found, "if on no other machine: `lizrcl db start` recovers the data")
    elif "does not run" in reason or "no database" in reason:
        yield Finding("database", "note", "none runs", "`lizrcl db start`, or set LIZRCL_DB_URI")
    else:
        yield Finding("database", "problem", reason, "`lizrcl db stop`, then `lizrcl db start`")


def _access(archive: "Archive") -> Iterator[Finding]:
    """Tell what the user of the URI may do."""
    from lizrcl_flows.archive.inspection import access

    who = access(archive)
    if who.user is None:
        yield Finding("database user", "ok", "the server asks for none; everything is allowed")
    elif who.rights == "everything":
        advice = "good for `lizrcl db init`; workers and dashboards get lizrcl_worker and lizrcl_reader"
        yield Finding("database user", "note", f"{who.user} may do everything", advice)
    elif who.rights == "worker":
        yield Finding("database user", "ok", f"{who.user} may do what workers need")
    elif who.rights == "reader":
        advice = "enough for looking; `lpad` and `rlaunch` need lizrcl_worker: `lizrcl config write` with its URI"
        yield Finding("database user", "note", f"{who.user} may only read", advice)
    else:
        yield Finding("database user", "problem", f"{who.user} may not even read everything", RERUN_SCRIPT)


def _structure(archive: "Archive") -> Iterator[Finding]:
    """Look for collections, validators and indexes, those of the JobStore among them."""
    from lizrcl_flows.archive.inspection import missing_structure

    problems = missing_structure(archive)
    if problems is None:
        yield Finding("collections, indexes", "note", "this user may not see them", RERUN_SCRIPT)
    elif problems:
        subject = {problem.subject: problem.what for problem in problems}
        new = subject.get("meta", "").startswith("is missing")
        found = "not initialised" if new else "; ".join(f"{problem.subject} {problem.what}" for problem in problems[:3])
        more = f"; {len(problems) - 3} more" if len(problems) > 3 and not new else ""
        advice = "let the owner run `lizrcl db init`; workers must then run the same release"
        yield Finding("collections, indexes", "problem", found + more, advice)
    else:
        yield Finding("collections, indexes", "ok", "complete, and of this release's schema")


def _queue(archive: "Archive") -> Iterator[Finding]:
    """Look for what is stuck; says in one line if nothing is."""
    from lizrcl_flows.cli.queue import Queue

    try:
        with Queue.of(archive) as queue:
            yield from _unprepared(queue)
            findings = [finding for look in QUEUE_CHECKS for finding in look(queue)]
            findings += _turns(archive, queue)
    except BackendError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        yield Finding("queue", "problem", f"FireWorks cannot be used: {reason}", "`lizrcl config write` anew")
        return
    yield from findings or [
        Finding("queue", "ok", "no lost jobs, no locked workflows, no orphans, no failures, no turn left behind")
    ]


def _unprepared(queue: "Queue") -> Iterator[Finding]:
    if queue.launchpad.fw_id_assigner.find_one({}) is None:
        yield Finding("LaunchPad", "note", "has no counter yet: `lpad add` fails", "let the owner run `lizrcl db init`")


def _lost(queue: "Queue") -> Iterator[Finding]:
    seconds = float(fireworks_settings().get("RUN_EXPIRATION_SECS", LOST_AFTER_S))
    lost = queue.lost(seconds)
    if lost:
        found = f"not heard of for {seconds / 60:.0f} min: Fireworks {listed(lost)}"
        advice = "if no worker is at them: `lpad detect_lostruns --rerun --refresh`"
        yield Finding("lost jobs", "note", found, advice)


def _reserved(queue: "Queue") -> Iterator[Finding]:
    seconds = float(fireworks_settings().get("RESERVATION_EXPIRATION_SECS", RESERVED_AFTER_S))
    launches = queue.launchpad.detect_unreserved(expiration_secs=int(seconds))
    if launches:
        records = queue.launchpad.launches.find({"launch_id": {"$in": launches}}, {"fw_id": 1})
        names = sorted({record["fw_id"] for record in records})
        found = f"reserved for {seconds / 3600:.0f} h and never started: Fireworks {listed(names)}"
        yield Finding("reserved jobs", "note", found, "if their batch jobs are gone: `lpad detect_unreserved --rerun`")


def _locked(queue: "Queue") -> Iterator[Finding]:
    locked = set(queue.locked())
    if not locked:
        return
    time.sleep(LOCK_S)
    stale = sorted(locked & set(queue.locked()))
    if stale:
        found = f"locked for {LOCK_S:.0f} s and more: the workflows of Fireworks {listed(stale)}"
        ids = " ".join(str(number) for number in stale[:10])
        yield Finding("locked workflows", "note", found, f"if no worker is at them: `lpad admin unlock -i {ids}`")


def _orphans(queue: "Queue") -> Iterator[Finding]:
    """Find Fireworks of no workflow: FireWorks inserts a workflow's Fireworks first, and a kill may come between."""
    fireworks = {record["fw_id"] for record in queue.launchpad.fireworks.find({}, {"fw_id": 1, "_id": 0})}
    workflows = queue.launchpad.workflows.find({}, {"nodes": 1, "_id": 0})
    orphans = sorted(fireworks - {node for workflow in workflows for node in workflow["nodes"]})
    if orphans:
        found = f"of no workflow, never run: Fireworks {listed(orphans)}"
        advice = "if nothing is being added at this moment, as owner: `lpad admin orphaned --remove`"
        yield Finding("orphans", "note", found, advice)


def _failed(queue: "Queue") -> Iterator[Finding]:
    campaigns: dict[Any, list[int]] = {}
    failed = [record["fw_id"] for record in queue.launchpad.fireworks.find({"state": "FIZZLED"}, {"fw_id": 1})]
    for workflow in queue.launchpad.workflows.find({"nodes": {"$in": failed}}, {"nodes": 1, "metadata.campaign": 1}):
        name = workflow.get("metadata", {}).get("campaign")
        campaigns.setdefault(name, []).extend(set(failed) & set(workflow["nodes"]))
    for name, numbers in campaigns.items():
        where = f" of campaign {name}" if name else ""
        why = f"`lizrcl campaign status {name}` says why; " if name else ""
        advice = f"{why}when that is mended: `lpad rerun_fws -i {' '.join(str(n) for n in sorted(numbers)[:10])}`"
        yield Finding("failed jobs", "note", f"FIZZLED{where}: Fireworks {listed(sorted(numbers))}", advice)


def _turns(archive: "Archive", queue: "Queue") -> Iterator[Finding]:
    """Find campaigns that wait for a step which nobody is taking, and turns whose workflow is gone."""
    from lizrcl_flows.archive.inspection import running_campaigns

    for name, turns in running_campaigns(archive).items():
        advance = f"`lizrcl campaign advance {name}`"
        half = [turn for turn in turns if turn.state == "submitting" and not turn.claimed]
        if half or not turns:
            found = f"{name} is running and nothing of it is submitted: a process ended between two steps"
            yield Finding("campaigns", "note", found, f"{advance} takes the step, on FireWorks")
        for turn in turns:
            if turn.fireworks and not queue.launchpad.workflows.find_one({"nodes": {"$in": list(turn.fireworks)}}, {}):
                found = f"{name}: the workflow of turn {turn.turn} is no longer on the LaunchPad"
                yield Finding("campaigns", "problem", found, f"{advance} submits it again")


QUEUE_CHECKS = (_lost, _reserved, _locked, _orphans, _failed)
