"""`lizrcl dataset import`: labels that were computed elsewhere."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lizrcl_flows.cli.bars import Progress, progress_bars
from lizrcl_flows.cli.output import emit_json, pairs, say, show
from lizrcl_flows.cli.session import dry_run_option, find_campaign, json_option, open_archive
from lizrcl_flows.errors import InputError

if TYPE_CHECKING:
    from lizrcl_flows.archive import Archive
    from lizrcl_flows.documents import Level
    from lizrcl_flows.flows.import_levels import Group
    from lizrcl_flows.flows.importing import ImportReport
    from lizrcl_flows.science.imports.reading import ReadOptions
    from lizrcl_flows.science.imports.records import FileContent

LISTED = 10
"""Reasons and sentences of one kind that a person is shown; --json has them all."""

_DESCRIPTION = ("code", "code_version", "functional", "dispersion", "cutoff_ev")

_OPTIONS = (
    click.option(
        "--split", type=click.Choice(["train", "holdout"]), default="train", show_default=True, help="What it is for."
    ),
    click.option("--campaign", help="Name or id of the campaign that the labels belong to."),
    click.option("--phase", help="Phase of all structures; that of each frame where absent."),
    click.option("--extend", metavar="ID", help="Data set to which the labels are added."),
    click.option("--level", metavar="ID", help="Stored level of theory of all files; files that tell another fail."),
    click.option("--level-of", metavar="CAMPAIGN", help="Instead: the level of a campaign, or of a campaign file."),
    click.option("--level-file", type=click.Path(path_type=Path), help="Level of theory in YAML, or as exported."),
    click.option("--code", help="Extended XYZ: program that computed the labels, such as vasp or cp2k."),
    click.option("--code-version", help="Extended XYZ: its version."),
    click.option("--functional", help="Extended XYZ: such as PBE."),
    click.option("--dispersion", help="Extended XYZ: such as D3-BJ."),
    click.option("--cutoff-ev", type=float, help="Extended XYZ: cutoff of the basis (eV)."),
    click.option("--note", default="", help="What the level is good for."),
    click.option("--k-spacing", type=float, help="Rule of all k meshes (1/A, 2 pi included); coarser files fail."),
    click.option("--split-levels", is_flag=True, help="Files of several levels of theory: one data set each."),
    click.option("--last-only", is_flag=True, help="Of each file, only the last ionic step or frame."),
    click.option("--net-force", type=click.FloatRange(0), help="Largest sum of forces (eV/A).  [default: 0.1]"),
    click.option("--energy-key", help="Extended XYZ: key of the energy (eV)."),
    click.option("--forces-key", help="Extended XYZ: columns of the forces (eV/A)."),
    click.option("--stress-key", help="Extended XYZ: key of the stress (eV/A^3, tension positive)."),
    click.option("--virial-key", help="Extended XYZ: key of the virial (eV, compression positive)."),
    click.option("--no-raw", is_flag=True, help="Do not store the files themselves."),
)


def _with_options(command: Callable[..., None]) -> Callable[..., None]:
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@click.command("import")
@click.argument("paths", metavar="PATH...", nargs=-1, required=True, type=click.Path(path_type=Path))
@_with_options
@dry_run_option
@json_option
@click.pass_context
def import_labels(ctx: click.Context, /, paths: tuple[Path, ...], dry_run: bool, as_json: bool, **options: Any) -> None:
    """Make a data set of labels computed elsewhere: vasprun.xml, OUTCAR, extended XYZ; folders are searched.

    A vasprun.xml tells its level of theory itself; of extended XYZ it must be said (--level, --level-file, or --code
    and what else is known). Every converged ionic step is a label; a step that is not converged, or whose numbers make
    no sense, is kept as a failed label with its reason. The same import again changes nothing. Exit code 1 if a file or
    a frame could not be read; all others are imported.
    """
    from lizrcl_flows.flows.importing import read_all
    from lizrcl_flows.science.imports.reading import find_sources

    sources = find_sources(paths)
    with open_archive(write=not dry_run) as archive, progress_bars() as progress:
        contents = read_all(sources, _read_options(options), progress)
        problems = [problem for content in contents for problem in content.problems]
        usable = [content for content in contents if content.frames]
        if not usable:
            raise InputError(_nothing(problems))
        groups = _groups(archive, usable, options)
        reports = _store(archive, groups, options, progress, write=not dry_run)
    result = [_row(group.level, report) for group, report in zip(groups, reports, strict=True)]
    if as_json:
        emit_json({"files": len(sources), "dry_run": dry_run, "datasets": result, "problems": problems})
    else:
        for row in result:
            _print(row, dry_run=dry_run)
        _listed("could not be read", problems)
    if problems:
        ctx.exit(1)


def _read_options(options: Mapping[str, Any]) -> "ReadOptions":
    from lizrcl_flows.science.imports.extended_xyz import XyzKeys
    from lizrcl_flows.science.imports.reading import NET_FORCE, ReadOptions

    keys = XyzKeys(*(options[f"{name}_key"] for name in ("energy", "forces", "stress", "virial")))
    net_force = NET_FORCE if options["net_force"] is None else options["net_force"]
    return ReadOptions(last_only=options["last_only"], net_force=net_force, keys=keys)


def _nothing(problems: Sequence[str]) -> str:
    more = f" (and {len(problems) - 1} more like it)" if len(problems) > 1 else ""
    return f"nothing to import: {problems[0]}{more}" if problems else "nothing to import: no file holds a frame"


def _groups(archive: "Archive", contents: "Sequence[FileContent]", options: Mapping[str, Any]) -> "list[Group]":
    """Return the files by level of theory: the one that was named, or those that the files tell."""
    from lizrcl_flows.documents import Level
    from lizrcl_flows.flows.import_levels import group_by_level, group_under

    level = _named_level(archive, options)
    if level is not None:
        _require_own_description(contents, options)
        return [group_under(level, contents, options["k_spacing"])]
    named = sorted({name for content in contents for name in content.level_ids})
    known = {found.id: found for found in archive.find(Level, {"_id": {"$in": named}})}
    return group_by_level(
        contents, known, split=options["split_levels"], k_spacing=options["k_spacing"], note=options["note"]
    )


def _named_level(archive: "Archive", options: Mapping[str, Any]) -> "Level | None":
    """Return the level of theory that the options name or describe; None where they do not."""
    from lizrcl_flows.documents import Level
    from lizrcl_flows.science.imports.level_files import described_level, read_level_file

    described = {name: options[name] for name in _DESCRIPTION if options[name] is not None}
    ways = [f"--{name.replace('_', '-')}" for name in ("level", "level_of", "level_file") if options[name]]
    ways += [f"--{name.replace('_', '-')}" for name in described]
    if len(ways) > 1 and not (set(ways) == {f"--{name.replace('_', '-')}" for name in described}):
        raise InputError(f"{ways[0]} and {ways[1]} both say the level of theory; one of them is needed")
    if options["level"]:
        return archive.get(Level, options["level"])
    if options["level_of"]:
        return _level_of(archive, options["level_of"])
    if options["level_file"]:
        return read_level_file(options["level_file"])
    if not described:
        return None
    return described_level({**described, "k_spacing": options["k_spacing"], "note": options["note"]}, "the options")


def _level_of(archive: "Archive", campaign: str) -> "Level":
    """Return the level of theory at which a campaign, stored or in a file, is labelled."""
    from lizrcl_flows.engines.labelling import make_labeller
    from lizrcl_flows.systems import load_campaign

    spec = load_campaign(campaign) if Path(campaign).is_file() else find_campaign(archive, campaign).spec
    return make_labeller(spec.labelling).level()


def _require_own_description(contents: "Sequence[FileContent]", options: Mapping[str, Any]) -> None:
    """Refuse a few words about a level where the files tell all of it."""
    told = next((content for content in contents if content.method is not None), None)
    if told is not None and not (options["level"] or options["level_of"] or options["level_file"]):
        raise InputError(
            f"{told.source.name}: tells its level of theory itself, and --code and the like can only contradict it; "
            "they describe extended XYZ files, which are imported apart"
        )


def _store(
    archive: "Archive", groups: "Sequence[Group]", options: Mapping[str, Any], progress: Progress, *, write: bool
) -> "list[ImportReport]":
    from lizrcl_flows.documents import Dataset
    from lizrcl_flows.flows.importing import ImportPlan, store_group

    if options["extend"] and len(groups) > 1:
        raise InputError("--extend names one data set, but the files are of several levels of theory")
    plan = ImportPlan(
        split=options["split"],
        campaign=find_campaign(archive, options["campaign"]).name if options["campaign"] else None,
        phase=options["phase"],
        parent=archive.resolve(Dataset, options["extend"]) if options["extend"] else None,
        keep_raw=not options["no_raw"],
    )
    return [store_group(archive, group, plan, progress, write=write) for group in groups]


def _row(level: "Level", report: "ImportReport") -> dict[str, Any]:
    names = ("dataset", "files", "n_frames", "n_new", "n_known", "n_repeated", "n_failed")
    counts = ("n_left_out", "n_added", "n_labels")
    told = ("code", "code_version", "functional", "dispersion", "cutoff_ev", "k_spacing", "parameters")
    return {
        **{name: getattr(report, name) for name in (*names, *counts)},
        "reasons": [
            {"reason": reason.text, "first": reason.first, "count": reason.count}
            for reason in sorted(report.reasons.values(), key=lambda reason: -reason.count)
        ],
        "remarks": report.remarks,
        "level": {"id": level.id, **{name: getattr(level, name) for name in told}},
    }


def _print(row: Mapping[str, Any], *, dry_run: bool) -> None:
    level = row["level"]
    described = [level["code"], level["code_version"], level["functional"], level["dispersion"]]
    cutoff = f"{level['cutoff_ev']:g} eV" if level["cutoff_ev"] else None
    facts = {
        "data set": row["dataset"] or "none: no label was accepted",
        "labels": f"{row['n_labels']}, {row['n_added']} of them added" if row["dataset"] else 0,
        "level": f"{level['id']} ({', '.join(str(part) for part in (*described, cutoff) if part)})",
        "files": row["files"],
        "frames": row["n_frames"],
        "new": row["n_new"],
        "known before": row["n_known"] or "",
        "found twice": row["n_repeated"] or "",
        "failed": row["n_failed"] or "",
        "left out": row["n_left_out"] or "",
    }
    show(pairs({name: value for name, value in facts.items() if value != ""}))
    if dry_run:
        say("nothing was written")
    _listed("no labels", [f"{entry['count']} x {entry['reason']} ({entry['first']})" for entry in row["reasons"]])
    _listed("contradict the archive", row["remarks"])


def _listed(title: str, sentences: Sequence[str]) -> None:
    if not sentences:
        return
    say(f"{title}:")
    for sentence in sentences[:LISTED]:
        say(f"  {sentence}")
    if len(sentences) > LISTED:
        say(f"  and {len(sentences) - LISTED} more; --json lists them all")
