"""`lizrcl campaign status`: how a campaign stands, what its last generation found, what it costs against the plan."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from lizrcl_flows.cli.estimates import cost_content, cost_lines
from lizrcl_flows.cli.output import emit_json, number, pairs, say, show, table
from lizrcl_flows.cli.progress import GENERATION_HEADER, generation_cells, rejection_lines
from lizrcl_flows.cli.session import find_campaign, json_option, open_archive
from lizrcl_flows.flows.progress import campaign_progress, closed_generations, generation_row

if TYPE_CHECKING:
    from lizrcl_flows.archive import Archive
    from lizrcl_flows.documents import Campaign, Generation

AS_WRITTEN = "as written"
"""Reason that the archive gives for a document's first state."""

WORST = 3
"""Cells of the grid that are shown."""


@click.command("status")
@click.argument("name")
@json_option
def status(name: str, as_json: bool) -> None:
    """Show how a campaign stands: generations, the running turn, the queue, costs against their predictions."""
    with open_archive() as archive:
        content = campaign_status(archive, find_campaign(archive, name))
    if as_json:
        emit_json(content)
        return
    print_status(content)


def campaign_status(archive: "Archive", entry: "Campaign") -> dict[str, Any]:
    """Return all that `campaign status` tells, as plain values."""
    from lizrcl_flows.cli.queue import Queue

    progress = campaign_progress(archive, entry)
    states = reversed(archive.events(entry.id))
    closed = closed_generations(archive, entry)
    with Queue.of(archive) as queue:
        counts, failures = queue.counts(entry.name), queue.failures(entry.name)
    return {
        "name": entry.name,
        "id": entry.id,
        "system": entry.spec.system,
        "state": entry.state,
        "why": next((event.why for event in states if event.field == "state" and event.value == entry.state), ""),
        "changes": dict(entry.changes),
        "turn": progress.turn,
        "stages": [{"stage": s.name, "done": s.done, "total": s.total, "note": s.note} for s in progress.stages],
        "labels_spent": entry.labels_spent,
        "labels_budget": entry.current.budget.labels,
        "core_hours_spent": entry.core_hours_spent,
        "core_hours_budget": entry.current.budget.core_hours,
        "generations": [generation_row(archive, turn) for turn in closed],
        "last": last_generation(archive, closed[-1]) if closed else None,
        "costs": cost_content(archive, entry),
        "fireworks": dict(sorted(counts.items())),
        "failures": [{"fw_id": f.fw_id, "name": f.name, "reason": f.reason} for f in failures],
    }


def last_generation(archive: "Archive", turn: "Generation") -> dict[str, Any]:
    """Return what a generation found: its evidence, calibration of eps, ledger and gates."""
    from lizrcl_flows.documents import Evaluation

    fresh = archive.get(Evaluation, turn.evaluation_fresh) if turn.evaluation_fresh else None
    calibrations = (fresh.calibrations or (fresh.calibration,)) if fresh else ()
    return {
        "generation": turn.index,
        "id": turn.id,
        "convergence": turn.convergence.model_dump(mode="json") if turn.convergence else None,
        "missing": turn.convergence.missing if turn.convergence else "",
        "eps_lo_used": turn.eps_lo_used,
        "n_control": turn.n_control,
        "calibration": [entry.model_dump(mode="json") for entry in calibrations if entry is not None],
        "ledger": [entry.model_dump(mode="json") for entry in turn.ledger],
        "gates": [entry.model_dump(mode="json") for entry in turn.gates],
        "note": turn.note,
    }


def print_status(content: dict[str, Any]) -> None:
    """Print what `campaign_status` returned."""
    spent = [str(content["labels_spent"]), f"{content['core_hours_spent']:.2f}"]
    limits = [f" of {content[key]:g}" if content[key] else "" for key in ("labels_budget", "core_hours_budget")]
    facts = {
        "campaign": f"{content['name']} ({content['id']})",
        "state": content["state"] + (f": {content['why']}" if content["why"] not in ("", AS_WRITTEN) else ""),
        "spent": f"{spent[0]}{limits[0]} labels, {spent[1]}{limits[1]} core hours",
        "FireWorks": ", ".join(f"{n} {state}" for state, n in content["fireworks"].items()) or "nothing queued",
        "changed since": ", ".join(f"{key}={value}" for key, value in content["changes"].items()),
    }
    show(pairs({name: fact for name, fact in facts.items() if fact}))
    if content["generations"]:
        click.echo()
        show(table(GENERATION_HEADER, [generation_cells(row) for row in content["generations"]], dense=True))
        for line in rejection_lines(content["generations"]):
            click.echo(line)
    if content["last"] is not None:
        for line in last_lines(content["last"]):
            click.echo(line)
    for line in cost_lines(content["costs"]):
        click.echo(line)
    if content["turn"] is not None:
        turn = content["turn"]
        click.echo(f"\nnow: {f'generation {turn}' if isinstance(turn, int) else turn}")
        stages = [
            [s["stage"], f"{s['done']} of {'?' if s['total'] is None else s['total']}", s["note"]]
            for s in content["stages"]
        ]
        show(table(["stage", "done", ""], stages))
    for failure in content["failures"]:
        say(f"failed: Firework {failure['fw_id']} ({failure['name']}): {failure['reason']}")


def last_lines(last: dict[str, Any]) -> Iterator[str]:
    """Yield in words what the last generation found."""
    title = f"generation {last['generation']}"
    evidence = last["convergence"]
    if evidence is not None:
        yield f"\n{title} " + ("met the criterion" if evidence["met"] else f"has not converged: {last['missing']}")
    whole = next((entry for entry in last["calibration"] if entry["group"] == "all"), None)
    if whole is not None:
        yield f"{title}, eps against the errors of {whole['n_structures']} fresh labels: {calibration_words(whole)}"
    if last["ledger"]:
        yield f"{title}, worst cells of the grid: " + "; ".join(_cell_words(entry) for entry in _worst(last["ledger"]))
    failed = [gate for gate in last["gates"] if not gate["passed"]]
    if failed:
        yield f"{title}, gates not passed: " + "; ".join(f"{gate['name']} {gate['why']}" for gate in failed)
    elif last["gates"]:
        yield f"{title} passed all of {len(last['gates'])} gates"
    if last["note"]:
        yield f"{title}: {last['note']}"


def calibration_words(entry: dict[str, Any]) -> str:
    """Return a calibration as a person reads it."""
    parts = []
    if entry["spearman"] is not None:
        parts.append(f"rank correlation {number(entry['spearman'], 2)}")
    if entry["scale"] is not None:
        parts.append(f"errors are {number(entry['scale'], 2)} times eps")
    if entry.get("factor_90") is not None:
        parts.append(f"nine of ten below {number(entry['factor_90'], 2)} times eps")
    if entry["coverage_90"] is not None:
        parts.append(f"coverage of the 90 % bound {entry['coverage_90']:.0%}")
    return ", ".join(parts) or "too few to tell"


def _worst(ledger: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the cells with the largest share of doubtful frames; runs that yielded none are the worst."""

    def doubt(entry: dict[str, Any]) -> tuple[float, float]:
        share = entry["n_flagged"] / entry["n_explored"] if entry["n_explored"] else float(entry["n_runs"] > 0)
        return share, entry["eps_max"] or 0.0

    explored = [entry for entry in ledger if entry["n_runs"]]
    return sorted(explored, key=doubt, reverse=True)[:WORST]


def _cell_words(entry: dict[str, Any]) -> str:
    pressure = "" if entry["pressure_gpa"] is None else f" {entry['pressure_gpa']:g} GPa"
    place = f"{entry['phase']} {entry['ensemble']} {entry['temperature_k']:g} K{pressure}"
    blown = f", {entry['n_blown_up']} of {entry['n_runs']} runs ended early" if entry["n_blown_up"] else ""
    largest = "" if entry["eps_max"] is None else f", eps up to {number(entry['eps_max'], 2)}"
    return f"{place} ({entry['n_flagged']} of {entry['n_explored']} frames doubtful{largest}{blown})"
