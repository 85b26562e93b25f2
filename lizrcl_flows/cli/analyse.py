"""`lizrcl analyse`: everything that can be measured in one trajectory, from any file that can be read or from an id."""

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lizrcl_flows.cli.output import jsonable, say
from lizrcl_flows.cli.session import json_option, open_archive
from lizrcl_flows.errors import InputError

if TYPE_CHECKING:
    from lizrcl_flows.gpumd.source import TrajectorySource
    from lizrcl_flows.science.analysis.findings import Options
    from lizrcl_flows.science.analysis.run import RunData


@click.command()
@click.argument("trajectory")
@click.option("--species", "-s", default="Li", show_default=True, help="The ion that diffuses.")
@click.option("--dt-ps", type=float, help="Time between two frames (ps); default: as the file tells.")
@click.option("--temperature", "-T", type=float, help="Temperature (K); without it there is no conductivity.")
@click.option("--charge", type=float, default=1.0, show_default=True, help="Charge of the ion (e).")
@click.option("--axis", type=click.Choice(["x", "y", "z"]), help="Normal of layers and interfaces; default: found.")
@click.option("--skip-ps", type=float, default=0.0, show_default=True, help="Time at the beginning to leave out (ps).")
@click.option("--elements", help="NetCDF without names: species of GPUMD's types, such as Li,Zr,Cl,O.")
@click.option("--model", type=click.Path(path_type=Path), help="nep.txt for the map of atomic environments.")
@click.option("--transport-only", is_flag=True, help="Diffusion, conductivity and hops; no structure.")
@click.option("--out", "-o", type=click.Path(path_type=Path, file_okay=False), help="Folder for figures and tables.")
@json_option
def analyse(trajectory: str, as_json: bool, out: Path | None, **given: Any) -> None:
    """Measure diffusion, conductivity, hops and structure in a TRAJECTORY: a file, or the id of a document.

    Files: GPUMD's extended XYZ and NetCDF of any release, and what ASE reads (XDATCAR, .traj, LAMMPS dumps, ...). A
    file needs no database. Beside our numbers stand those of the study's protocol.
    """
    from lizrcl_flows.cli.analysis_text import sentences
    from lizrcl_flows.science.analysis.whole import analyse_run

    if out is not None and out.exists() and not out.is_dir():
        raise InputError(f"--out {out} is a file; a folder is needed")
    with _opened(trajectory, given) as (source, options, label):
        say(f"reading {label} ...")
        data = _collected(source, given)
    whole = analyse_run(data, options, structure=not given["transport_only"], model=given["model"])
    content = {"trajectory": label, **whole.as_json()}
    if as_json:
        click.echo(json.dumps(jsonable(content), indent=1))
    else:
        for sentence in sentences(content):
            click.echo(sentence)
    if out is not None:
        from lizrcl_flows.cli.analysis_files import write_analysis

        for path in write_analysis(whole, content, out):
            say(f"wrote {path}")


@contextmanager
def _opened(trajectory: str, given: dict[str, Any]) -> "Iterator[tuple[TrajectorySource, Options, str]]":
    """Open a file, or the trajectory of a document with its temperature and its time step."""
    from lizrcl_flows.cli.analysis_text import options_of
    from lizrcl_flows.gpumd.source import open_trajectory

    path = Path(trajectory)
    if path.exists() or not trajectory.startswith("tra_"):
        elements = given["elements"].split(",") if given["elements"] else None
        with open_trajectory(path, elements) if elements else open_trajectory(path) as source:
            yield source, options_of(given), str(path)
        return
    from lizrcl_flows.documents import Trajectory

    with open_archive() as archive, tempfile.TemporaryDirectory() as directory:
        document = archive.get(Trajectory, trajectory)
        if not document.files:
            raise InputError(f"{document.id} has no trajectory file: {document.health.reason or 'the run left none'}")
        if given["temperature"] is None:
            given["temperature"] = document.temperature_k
        if given["dt_ps"] is None:
            given["dt_ps"] = document.sample_every * document.time_step_fs / 1000
        with open_trajectory(archive.fetch_file(document.files[0], Path(directory))) as source:
            yield source, options_of(given), document.id


def _collected(source: "TrajectorySource", given: dict[str, Any]) -> "RunData":
    from lizrcl_flows.science.analysis.run import collect

    return collect(source, given["species"], given["dt_ps"], given["skip_ps"])
