"""`lizrcl campaign initial`: from a campaign file to the labelled data set of generation 0, and what came of it."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lizrcl_flows.cli.local_runs import local_run, shown, workdir_option
from lizrcl_flows.cli.output import emit_json, pairs, say, show, table
from lizrcl_flows.cli.session import dry_run_option, find_campaign, json_option, open_archive

if TYPE_CHECKING:
    from lizrcl_flows.archive import Archive
    from lizrcl_flows.documents import Campaign


@click.command("initial")
@click.argument("name")
@workdir_option
@dry_run_option
@json_option
def initial(name: str, workdir: Path | None, dry_run: bool, as_json: bool) -> None:
    """Make the labelled data set of generation 0 on this machine and stop there; again resumes.

    Orders, relaxes, builds, samples, chooses and labels, as far as the campaign file asks for it. `lizrcl campaign run`
    goes on from there, and `lizrcl report` draws the map of the pool with what was chosen.
    """
    with open_archive(write=not dry_run) as archive:
        entry = find_campaign(archive, name)
        if not dry_run:
            from lizrcl_flows.flows.campaigns import run_initial

            say(f"{entry.name}: making the first training set")
            store, directory = local_run(archive, entry, workdir)
            with shown(archive, entry.id):
                entry = run_initial(archive, entry.id, store, directory)
        content = first_training_set(archive, entry)
    if as_json:
        emit_json(content)
        return
    _print(content)


def first_training_set(archive: "Archive", campaign: "Campaign") -> dict[str, Any]:
    """Return what the first training set of a campaign is made of, as far as it is there."""
    from lizrcl_flows.documents import Candidate, Dataset, Label, Structure, Trajectory
    from lizrcl_flows.jobs.datasets import dataset_before

    place: dict[str, Any] = {"campaign": campaign.name, "generation": 0}
    cells = {name: archive.get(Structure, cell) for name, cell in {**campaign.phases, **campaign.prepared}.items()}
    verdicts = ("selected", "spare", "rejected")
    found = {split: dataset_before(archive, campaign, split, 1) for split in ("holdout", "train")}
    datasets = {split: archive.get(Dataset, name) for split, name in found.items() if name}
    return {
        "campaign": campaign.name,
        "id": campaign.id,
        "cells": [
            {
                "name": name,
                "structure": cell.id,
                "made_by": cell.origin.kind,
                "formula": cell.formula,
                "n_atoms": cell.n_atoms,
            }
            for name, cell in cells.items()
        ],
        "train_labels_by_phase": {
            phase: archive.count(Label, {**place, "purpose": "train", "phase": phase})
            for phase in dict.fromkeys(cell.phase or name for name, cell in cells.items())
        },
        "n_trajectories": archive.count(Trajectory, {**place, "purpose": "sampling"}),
        "pool": {verdict: archive.count(Candidate, {**place, "verdict": verdict}) for verdict in verdicts},
        "datasets": {
            split: {"id": dataset.id, "n_labels": dataset.n_labels} for split, dataset in sorted(datasets.items())
        },
        "n_failed": archive.count(Label, {**place, "status": "failed"}),
        "core_hours_spent": campaign.core_hours_spent,
    }


def _print(content: dict[str, Any]) -> None:
    rows = [
        [cell["name"], cell["made_by"], cell["formula"], cell["n_atoms"], cell["structure"]]
        for cell in content["cells"]
    ]
    show(table(["cell", "made by", "formula", "atoms", "structure"], rows))
    pool, sets = content["pool"], content["datasets"]
    facts = {
        "pool": ", ".join(f"{count} {verdict}" for verdict, count in pool.items()) if any(pool.values()) else "",
        "sampling runs": content["n_trajectories"] or "",
        "chosen": ", ".join(f"{count} {phase}" for phase, count in content["train_labels_by_phase"].items() if count),
        **{f"{split} set": f"{entry['n_labels']} labels ({entry['id']})" for split, entry in sets.items()},
        "failed labels": content["n_failed"] or "",
        "core hours": round(content["core_hours_spent"], 3),
    }
    click.echo()
    show(pairs({name: value for name, value in facts.items() if value != ""}))
    if not sets:
        say(f"nothing is labelled yet; `lizrcl campaign initial {content['campaign']}` makes the first training set")
