"""`lizrcl generation list|show|diff`: what each turn of the loop did."""

from typing import TYPE_CHECKING, Any

import click

from lizrcl_flows.cli.generations_diff import diff
from lizrcl_flows.cli.lazy import SuggestingGroup
from lizrcl_flows.cli.output import emit_json, pairs, say, show, table
from lizrcl_flows.cli.progress import GENERATION_HEADER, generation_cells, rejection_lines
from lizrcl_flows.cli.session import find_campaign, json_option, open_archive
from lizrcl_flows.errors import NotFoundError
from lizrcl_flows.flows.progress import closed_generations, generation_row

if TYPE_CHECKING:
    from lizrcl_flows.archive import Archive
    from lizrcl_flows.documents import Campaign, Generation


@click.group(cls=SuggestingGroup)
def generation() -> None:
    """List, show and compare the turns of the loop."""


generation.add_command(diff)


@generation.command("list")
@click.option("--campaign", "campaign_name", help="Name or id; default: every campaign.")
@json_option
def list_generations(campaign_name: str | None, as_json: bool) -> None:
    """List the closed generations of one or all campaigns."""
    with open_archive() as archive:
        campaigns = _campaigns(archive, campaign_name)
        rows = [
            {"campaign": found.name, **generation_row(archive, turn)}
            for found in campaigns
            for turn in closed_generations(archive, found)
        ]
    if as_json:
        emit_json(rows)
    elif not rows:
        say("no generation is closed yet")
    else:
        for found in campaigns:
            _print_generations(found.name, [row for row in rows if row["campaign"] == found.name])


def _print_generations(campaign: str, rows: list[dict[str, Any]]) -> None:
    click.echo(f"campaign {campaign}")
    show(table(GENERATION_HEADER, [generation_cells(row) for row in rows], dense=True))
    for line in rejection_lines(rows):
        click.echo(line)


@generation.command("show")
@click.argument("generation_id", metavar="ID|INDEX")
@click.option("--campaign", "campaign_name", help="Name or id; needed with an index where there are several campaigns.")
@json_option
def show_generation(generation_id: str, campaign_name: str | None, as_json: bool) -> None:
    """Show one generation: counts, reasons, errors, convergence, time. ID may be its index in the campaign."""
    with open_archive() as archive:
        turn = find_generation(archive, generation_id, campaign_name)
        row = generation_row(archive, turn)
    content = {**turn.model_dump(mode="json", by_alias=True), "holdout": {k: v for k, v in row.items() if "rmse" in k}}
    if as_json:
        emit_json({"id": content.pop("_id"), **content})
        return
    timings = {f"time, {timing.stage} (s)": timing.wall_s for timing in turn.timings}
    evidence = turn.convergence
    shown = {
        "id": turn.id,
        "campaign": turn.campaign,
        "state": turn.state,
        "runs": turn.n_trajectories,
        "frames explored": turn.n_explored,
        "  of them known (eps < eps_lo)": turn.n_accurate,
        **{f"  rejected: {reason}": count for reason, count in row["rejected"].items()},
        "  candidates": turn.n_candidates,
        "  selected": turn.n_selected,
        "labels accepted": turn.n_labelled,
        "labels failed": turn.n_failed,
        "eps median, largest (eV/A)": (turn.eps_median, turn.eps_max),
        "hold-out RMSE F before, after (eV/A)": (row["rmse_force_before"], row["rmse_force_after"]),
        "hold-out RMSE E before, after (eV/atom)": (row["rmse_energy_before"], row["rmse_energy_after"]),
        "converged": evidence.met if evidence else None,
        "  missing": evidence.missing if evidence else None,
        "stalled": turn.stalled_reason or None,
        "data set": turn.dataset,
        "committee before": turn.committee_before,
        "committee after": turn.committee_after,
        **timings,
    }
    show(pairs({key: value for key, value in shown.items() if value is not None}))


def _campaigns(archive: "Archive", name: str | None) -> "list[Campaign]":
    from lizrcl_flows.documents import Campaign

    return [find_campaign(archive, name)] if name else list(archive.find(Campaign, {}, sort=[("created_at", 1)]))


def find_generation(archive: "Archive", generation_id: str, campaign_name: str | None) -> "Generation":
    """Return a closed generation by its id, the beginning of it, or its index in the one or the named campaign.

    Raises
    ------
    InputError, NotFoundError
        If an index may be of several campaigns; if there is no such generation.
    """
    from lizrcl_flows.documents import Generation
    from lizrcl_flows.errors import InputError

    if not generation_id.isdigit():
        return archive.get(Generation, generation_id)
    campaigns = _campaigns(archive, campaign_name)
    if len(campaigns) != 1:
        raise InputError(f"--campaign: say which of the {len(campaigns)} campaigns generation {generation_id} is of")
    turns = closed_generations(archive, campaigns[0])
    for turn in turns:
        if turn.index == int(generation_id):
            return turn
    raise NotFoundError(f"campaign '{campaigns[0].name}' has no closed generation {generation_id}, only {len(turns)}")
