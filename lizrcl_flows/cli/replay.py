"""`lizrcl replay GENERATION`: its training inputs, candidates and selection again, from the database alone."""

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lizrcl_flows.cli.exports import frame_text
from lizrcl_flows.cli.generations import find_generation
from lizrcl_flows.cli.output import emit_json, say, show, table
from lizrcl_flows.cli.session import json_option, open_archive
from lizrcl_flows.errors import InputError, IntegrityError

if TYPE_CHECKING:
    from lizrcl_flows.jobs.replay import Replay

WORDS = {True: "equal", False: "DIFFERS", None: "not provable"}


@click.command()
@click.argument("generation_id", metavar="GENERATION")
@click.option("--campaign", "campaign_name", help="Name or id; needed with an index where there are several campaigns.")
@click.option("--check", is_flag=True, help="Compare with what was used, byte for byte; exit code 4 if it differs.")
@click.option("--out", "-o", type=click.Path(path_type=Path), help="New folder; default without --check: replay_ID.")
@json_option
def replay(*, generation_id: str, campaign_name: str | None, check: bool, out: Path | None, as_json: bool) -> None:
    """Rebuild train.xyz and nep.in of each member, the pool of candidates and the selection of a generation.

    GENERATION is an id, the beginning of one, or an index in the campaign. Only the database is read, and nothing is
    written to it. With --check, each part is proven equal to what was used, or the first difference is named; what
    campaigns of earlier versions did not record is said to be not provable.
    """
    with open_archive() as archive:
        turn = find_generation(archive, generation_id, campaign_name)
        target = out or (None if check else Path(f"replay_{turn.id}"))
        if target is not None and target.exists() and any(target.iterdir()):
            raise InputError(f"--out: {target} is not empty; a new folder is needed")
        from lizrcl_flows.jobs.replay import replay as rebuild

        with tempfile.TemporaryDirectory(prefix="lizrcl_replay_") as scratch:
            done = rebuild(archive, turn, target or Path(scratch))
            if target is not None:
                _write(done, target)
    if as_json:
        emit_json(done.as_dict())
    elif check:
        show(
            table(
                ["part", "outcome", "why", "SHA-256"],
                [[p.name, WORDS[p.equal], p.why, p.sha256[:16]] for p in done.parts],
            )
        )
    elif target is not None:
        for path in sorted(path for path in target.rglob("*") if path.is_file()):
            click.echo(str(path))
    if check and not done.equal:
        wrong = [part.name for part in done.parts if part.equal is False]
        raise IntegrityError(f"{turn.id} is not what was used: {'; '.join(wrong)}")
    if check:
        say(f"{turn.id} is what was used" if done.proven else f"{turn.id}: nothing differs, not all can be proven")


def _write(done: "Replay", folder: Path) -> None:
    """Write the pool as extended XYZ and the selection as JSON; the trainer's files are there already."""
    frames = []
    for structure, candidate in done.pool:
        info: dict[str, Any] = {}
        columns = {}
        if candidate is not None:
            info = {"candidate": candidate.id, "verdict": candidate.verdict}
            told = {"eps": candidate.eps, "score": candidate.score, "reason": candidate.reason or None}
            info |= {name: value for name, value in told.items() if value is not None}
            columns = {} if candidate.eps_atoms is None else {"eps_atoms": candidate.eps_atoms}
        frames.append(frame_text(structure, info, columns))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "candidates.xyz").write_text("".join(frames), encoding="utf-8")
    selection = json.dumps(done.selection, indent=2, sort_keys=True) + "\n"
    (folder / "selection.json").write_text(selection, encoding="utf-8")
