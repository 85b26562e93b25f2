"""`lizrcl campaign plan`: jobs, labels, core hours, wall time and storage before anything is submitted."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lizrcl_flows.cli.estimates import estimate_row, interval
from lizrcl_flows.cli.output import emit_json, number, pairs, say, show, table
from lizrcl_flows.cli.session import find_campaign, json_option, open_archive

if TYPE_CHECKING:
    from lizrcl_flows.flows.planning import CampaignPlan, TurnPlan

ALL_SHOWN = 12
"""Turns up to which each has a line of its own."""

HEADER = (
    *("turn", "jobs\ncpu", "jobs\ndft", "jobs\ngpu", "labels", "hold-\nout", "train-\nings", "MD steps"),
    *("core hours", "90 % interval", "wall time", "storage"),
)


@click.command("plan")
@click.argument("source", metavar="FILE|NAME")
@click.option("--workers", default="", help="How many: dft=20x32,gpu=4 (20 for labels on 32 cores each), or a number.")
@click.option("--gpumd/--no-gpumd", default=None, help="Price training and dynamics as GPUMD's on GPUs, or as ours.")
@json_option
def plan(source: str, workers: str, gpumd: bool | None, as_json: bool) -> None:
    """Say what a campaign will do, cost and take at the most; nothing is stored or submitted.

    Core hours are fitted to what this database has computed at the same level, by atoms; where it has nothing, they are
    built-in orders of magnitude and called so. A file needs no database. A campaign that has begun is planned from
    where it is.
    """
    content = _content(_plan(source, workers, gpumd))
    if as_json:
        emit_json(content)
        return
    _print(content)


def _plan(source: str, workers: str, gpumd: bool | None) -> "CampaignPlan":
    from lizrcl_flows.errors import BackendError
    from lizrcl_flows.flows.planning import plan_campaign
    from lizrcl_flows.flows.wall_times import Workers
    from lizrcl_flows.systems import load_campaign

    staff = Workers.parsed(workers)
    if not (Path(source).is_file() or source.endswith((".yaml", ".yml"))):
        with open_archive() as archive:
            return plan_campaign(find_campaign(archive, source), archive, staff, gpumd=gpumd)
    spec = load_campaign(Path(source))
    try:
        with open_archive() as archive:
            return plan_campaign(spec, archive, staff, gpumd=gpumd)
    except BackendError:
        say("no database: costs are built-in orders of magnitude")
        return plan_campaign(spec, None, staff, gpumd=gpumd)


def _content(plan: "CampaignPlan") -> dict[str, Any]:
    spec = plan.spec
    stored = [sum(turn.n_bytes.values()) for turn in plan.turns]
    kinds = {
        kind: sum(turn.n_bytes.get(kind, 0.0) for turn in plan.turns) for turn in plan.turns for kind in turn.n_bytes
    }
    return {
        "name": spec.name,
        "system": spec.system,
        "turns": [_turn_row(turn) for turn in plan.turns],
        "stages": [
            {
                "stage": stage,
                "calculations": sum(turn.work.stages[stage].count for turn in plan.turns if stage in turn.work.stages),
                "core_hours": estimate_row(hours),
                "rests_on": plan.sources[stage].source,
                "fitted": plan.sources[stage].fitted,
                "exponent": plan.sources[stage].law.exponent,
                "exponent_sd": plan.sources[stage].law.exponent_sd,
            }
            for stage, hours in plan.core_hours.items()
        ],
        "labels": sum(turn.work.n_labels + turn.work.n_holdout for turn in plan.turns),
        "labels_spent": plan.labels_spent,
        "labels_budget": spec.budget.labels,
        "core_hours": estimate_row(plan.cost),
        "core_hours_spent": plan.core_hours_spent,
        "core_hours_budget": spec.budget.core_hours,
        "wall_hours": estimate_row(plan.wall_hours),
        "bytes": sum(stored),
        "bytes_by_kind": kinds,
        "storage_rests_on": plan.storage.source,
        "ends": plan.ends,
        "missing": plan.missing,
        "warnings": plan.warnings,
    }


def _turn_row(turn: "TurnPlan") -> dict[str, Any]:
    work = turn.work
    trainings = work.stages.get("train")
    return {
        "turn": work.turn,
        "jobs": dict(turn.jobs),
        "labels": work.n_labels,
        "holdout": work.n_holdout,
        "trainings": int(trainings.count) if trainings else 0,
        "md_steps": work.md_steps,
        "core_hours": estimate_row(turn.cost),
        "core_hours_by_stage": {stage: estimate_row(hours) for stage, hours in turn.core_hours.items() if hours.value},
        "wall_hours": estimate_row(turn.wall_hours),
        "bytes": sum(turn.n_bytes.values()),
    }


def _print(content: dict[str, Any]) -> None:
    show(table(HEADER, _cells(content["turns"]), dense=True))
    click.echo()
    rows = [
        [
            row["stage"],
            round(row["calculations"]),
            number(row["core_hours"]["value"], 3),
            interval(row["core_hours"]),
            row["rests_on"],
        ]
        for row in content["stages"]
    ]
    show(table(["stage", "calculations", "core hours", "90 % interval", "rests on"], rows))
    click.echo()
    hours, wall = content["core_hours"], content["wall_hours"]
    facts = {
        "campaign": f"{content['name']} (system {content['system']})",
        "labels": _of_budget(content["labels"], content["labels_spent"], content["labels_budget"]),
        "core hours": _of_budget(hours["value"], content["core_hours_spent"], content["core_hours_budget"])
        + f"; 90 %: {interval(hours)}",
        "wall time": f"{duration(wall['value'])}; 90 %: {duration(wall['low'])} to {duration(wall['high'])}",
        "storage": f"{size(content['bytes'])} ({content['storage_rests_on']})",
        "learning ends": content["ends"],
    }
    show(pairs(facts))
    for sentence in content["missing"]:
        click.echo(f"missing here: {sentence}")
    for sentence in content["warnings"]:
        click.echo(f"warning: {sentence}")


def _of_budget(amount: float, spent: float, budget: float | None) -> str:
    beside = [f"{number(spent, 3)} spent"] if spent else []
    beside += [f"budget {number(budget, 3)}"] if budget is not None else []
    return f"{number(amount, 3)} at the most" + (f" ({', '.join(beside)})" if beside else "")


def _cells(turns: Sequence[dict[str, Any]]) -> Iterable[list[Any]]:
    """Yield the rows of the table; of many generations the first and the last, and those between in one row."""
    learning = [turn for turn in turns if isinstance(turn["turn"], int)]
    if len(learning) <= ALL_SHOWN:
        yield from (_row(turn) for turn in turns)
        return
    between = learning[3:-1]
    yield from (_row(turn) for turn in learning[:3])
    yield _row(_summed(between))
    yield from (_row(turn) for turn in turns[len(learning) - 1 :])


def _summed(turns: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the sum of generations; their cost is uncertain as a whole."""

    def add(key: str) -> dict[str, float]:
        return {end: sum(turn[key][end] for turn in turns) for end in ("value", "low", "high")}

    return {
        "turn": f"{turns[0]['turn']}..{turns[-1]['turn']}",
        "jobs": {kind: sum(turn["jobs"].get(kind, 0) for turn in turns) for kind in ("cpu", "dft", "gpu")},
        **{key: sum(turn[key] for turn in turns) for key in ("labels", "holdout", "trainings", "md_steps", "bytes")},
        "core_hours": add("core_hours"),
        "wall_hours": add("wall_hours"),
    }


def _row(turn: dict[str, Any]) -> list[Any]:
    return [
        str(turn["turn"]),
        *(turn["jobs"].get(kind, 0) for kind in ("cpu", "dft", "gpu")),
        turn["labels"],
        turn["holdout"],
        turn["trainings"],
        turn["md_steps"],
        number(turn["core_hours"]["value"], 3),
        interval(turn["core_hours"]),
        duration(turn["wall_hours"]["value"]),
        size(turn["bytes"]),
    ]


def duration(hours: float) -> str:
    """Return a time in the unit that a person would use."""
    for unit, length in (("d", 24.0), ("h", 1.0)):
        if hours >= 2 * length:
            return f"{number(hours / length, 2)} {unit}"
    return f"{number(60 * hours, 2)} min"


def size(n_bytes: float) -> str:
    """Return a number of bytes in the unit that a person would use."""
    for unit, length in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if n_bytes >= length:
            return f"{number(n_bytes / length, 2)} {unit}"
    return f"{number(n_bytes / 1e3, 2)} kB"
