"""From stored arrays to figures with tables: every kind has one, and the numbers are those of the arrays."""

import csv
import io
import json
from typing import get_args

import numpy as np
import pytest

from lizrcl_flows.documents.analyses import AnalysisKind
from lizrcl_flows.science.analysis_figures import KEYS, draw_analysis, missing_arrays
from lizrcl_flows.science.figure_tables import csv_text, json_text

TIMES = np.array([50.0, 150.0])
EDGES = np.array([0.0, 2.0, 4.0, 6.0])
MAP = np.arange(6.0).reshape(2, 3)
REGIONS = np.array(["bulk", "interface", "bulk"])
ARRAYS = {
    "thermo": {"time_ps": TIMES, "temperature_k": TIMES, "volume_a3": TIMES, "energy_ev_per_atom": TIMES},
    "eps": {"times_ps": TIMES, "eps": np.array([0.1, 0.3])},
    "residence": {"t_ps": TIMES, "classes": np.array(["a", "b"]), "survival": np.eye(2), "tau_ps": np.ones(2)},
    "regional": {
        "regions": REGIONS[:2],
        "diffusivity": np.array([0.01, np.nan]),
        "diffusivity_std": np.array([0.001, np.nan]),
        "share": np.linspace(0, 1, 3),
        "conductivity": np.array([0.5, 0.9, 0.1]),
    },
    "density": {"times_ps": TIMES, "z_edges_a": EDGES, "density": MAP, "planes_a": np.ones((2, 2))},
    "hops": {
        "times_ps": np.array([0.0, 500.0, 1000.0]),
        "z_edges_a": EDGES,
        "paper": MAP.astype(int),
        "counted": MAP.astype(int) // 2,
        "occupancy": MAP + 1,
        "false_per_ion_ns": np.array([0.1, 0.2, 0.3]),
    },
    "coordination": {"z_a": EDGES[:3], "pairs": np.array(["Li-Cl", "Li-O"]), "cn": MAP, "planes_a": np.ones(2)},
    "layers": {"times_ps": TIMES, "layer_z_a": EDGES[:3], "population": MAP},
    "glide": {"times_ps": TIMES, "displacement_a": MAP},
    "rdf": {"r_a": EDGES[:3], "pairs": np.array(["Li-Cl", "Li-O"]), "g": MAP, "running": MAP},
    "displacements": {
        "xy_a": EDGES[:3],
        "z_a": EDGES[:3],
        "classes": np.array(["xy", "z", "immobile"]),
        "regions": REGIONS,
    },
    "polyhedra": {"volume_a3": EDGES[1:], "csm": EDGES[1:], "cn": np.array([4, 5, 6]), "regions": REGIONS},
    "chains": {"sizes": np.array([1, 2]), "counts": np.array([3.0, 0.5])},
    "environments": {"xy": MAP.reshape(3, 2), "regions": REGIONS},
}


def rows_of(kind):
    return list(csv.DictReader(io.StringIO(csv_text(draw_analysis(kind, ARRAYS[kind], {})[0].table))))


@pytest.mark.parametrize("kind", get_args(AnalysisKind))
def test_every_kind_of_analysis_has_a_figure_with_its_numbers(kind):
    assert missing_arrays(kind, set(ARRAYS[kind])) == []
    assert missing_arrays(kind, set()) == list(KEYS[kind])
    drawn = draw_analysis(kind, ARRAYS[kind], {"eps_lo_ev_per_a": 0.2})
    assert [entry.name for entry in drawn] == (["regional", "composite"] if kind == "regional" else [drawn[0].name])
    for entry in drawn:
        assert entry.figure.axes
        assert json.loads(json_text(entry.table, figure=entry.name))["figure"] == entry.name


def test_maps_are_tables_with_a_row_for_each_bin():
    rows = rows_of("density")
    assert [(row["time_ps"], row["z_low_a"], row["density_per_a3"]) for row in rows[2:4]] == [
        ("50.0", "4.0", "2.0"),
        ("150.0", "0.0", "3.0"),
    ]
    hop = rows_of("hops")[4]
    assert [hop[name] for name in ("from_ps", "to_ps", "z_low_a", "hops_study_rule", "ions", "false_per_ion_ns")] == [
        *("500.0", "1000.0", "2.0", "4", "5.0", "0.2"),
    ]


def test_what_is_not_finite_is_a_blank_and_shorter_columns_end_with_blanks():
    table = {"a": np.array([1.0, np.nan, np.inf]), "b": ["x"], "c": np.array([True, False])}
    assert csv_text(table) == "a,b,c\n1.0,x,True\n,,False\n,,\n"
    columns = json.loads(json_text(table, ids=("tsp_1",)))
    assert columns == {"ids": ["tsp_1"], "columns": {"a": [1.0, None, None], "b": ["x"], "c": [True, False]}}
