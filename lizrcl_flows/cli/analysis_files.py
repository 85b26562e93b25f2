"""Files of `lizrcl analyse --out`: all numbers as JSON, each figure as PNG with its table as CSV."""

import csv
import json
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lizrcl_flows.cli.output import jsonable

if TYPE_CHECKING:
    from lizrcl_flows.science.analysis.whole import WholeAnalysis


def write_analysis(whole: "WholeAnalysis", content: dict[str, Any], directory: Path) -> Iterator[Path]:
    """Write the files of an analysis into a folder and yield their paths."""
    from lizrcl_flows.science.analysis_figures import draw_analysis, missing_arrays
    from lizrcl_flows.science.figures import save_figure

    directory.mkdir(parents=True, exist_ok=True)
    path = directory / "analysis.json"
    path.write_text(json.dumps(jsonable(content), indent=1) + "\n", encoding="utf-8")
    yield path
    yield _write_table(directory / "msd.csv", _msd_table(whole))
    figure = _msd_figure(whole)
    yield save_figure(figure, directory / "msd.png")
    for finding in whole.findings:
        if finding.reason or missing_arrays(finding.kind, set(finding.arrays)):
            continue
        arrays = {name: np.asarray(values) for name, values in finding.arrays.items()}
        for drawn in draw_analysis(finding.kind, arrays, finding.parameters):
            yield _write_table(directory / f"{drawn.name}.csv", drawn.table)
            yield save_figure(drawn.figure, directory / f"{drawn.name}.png")


def _msd_table(whole: "WholeAnalysis") -> dict[str, Any]:
    tracer = whole.transport.tracer
    columns = {f"msd_{axis}_a2": tracer.msd_xyz_a2[:, place] for place, axis in enumerate("xyz")}
    collective = whole.transport.collective
    return {
        "lag_ps": tracer.lag_ps,
        "msd_a2": tracer.msd_a2,
        **columns,
        "collective_lag_ps": collective.lag_ps,
        "collective_msd_a2": collective.collective_msd_a2,
    }


def _msd_figure(whole: "WholeAnalysis") -> Any:
    from lizrcl_flows.science.transport_figures import Coefficient, MsdCurves, displacement_figure

    tracer, paper = whole.transport.tracer, whole.transport.paper
    collective = whole.transport.collective
    inside = None
    if len(collective.lag_ps) > 1:
        inside = np.interp(tracer.lag_ps, collective.lag_ps, collective.collective_msd_a2, right=np.nan)
    curves = MsdCurves(tracer.lag_ps, tracer.msd_a2, tracer.msd_xyz_a2, inside)
    total = by_axis = quoted = None
    if tracer.diffusivity is not None:
        offset = tracer.offset_a2 or 0.0
        total = Coefficient(tracer.diffusivity, tracer.diffusivity_std or 0.0, 3, offset)
        by_axis = [
            Coefficient(value, std, 1, offset / 3)
            for value, std in zip(tracer.per_axis or (), tracer.per_axis_std or (), strict=True)
        ]
    if paper.raw_diffusivity is not None:
        quoted = Coefficient(paper.raw_diffusivity, paper.raw_std or 0.0)
    return displacement_figure(curves, total, by_axis or (), quoted)


def _write_table(path: Path, table: dict[str, Any]) -> Path:
    columns = [np.asarray(values).tolist() for values in table.values()]
    with path.open("w", newline="", encoding="utf-8") as handle:
        rows = csv.writer(handle)
        rows.writerow(table)
        rows.writerows(zip_longest(*columns, fillvalue=""))
    return path
