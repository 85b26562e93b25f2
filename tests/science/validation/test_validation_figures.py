"""Figures of curves, hops, maps, ledgers and calibration: what is written on them, and the same bytes every time."""

import numpy as np
import pytest

from lizrcl_flows.documents import Calibration, Evaluation
from lizrcl_flows.documents.campaigns import LedgerEntry
from lizrcl_flows.documents.curves import EnergyVolumeCurve, HopProfile
from lizrcl_flows.documents.spec_learning import HopSpec
from lizrcl_flows.science.figures import save_figure
from lizrcl_flows.science.ledger_figures import calibration_figure, ledger_figure
from lizrcl_flows.science.validation.figures import energy_volume_figure, hop_figure, structure_map_figure


def curve(phase="alpha", **changes):
    energy = (0.02, 0.0, 0.0005, 0.03)
    values = {
        "phase": phase,
        "n_atoms": 27,
        "structures": (),
        "volume": (19.0, 20.0, 21.0, 22.0),
        "energy": energy,
        "energy_members": (energy, tuple(0.9 * e for e in energy)),
        "eps": (0.0,) * 4,
        "v0": 20.4,
        "v0_std": 0.01,
        "bulk_modulus": 31.2,
        "bulk_modulus_std": 0.4,
    }
    return EnergyVolumeCurve(**{**values, **changes})


def hop(number=0, **changes):
    values = {
        "phase": "alpha",
        "number": number,
        "settings": HopSpec(phase="alpha", atom=0, vacancy=4),
        "n_atoms": 26,
        "structures": (),
        "distance": (0.0, 1.0, 2.1),
        "energy": (0.0, 0.4, 0.1),
        "energy_members": ((0.0, 0.42, 0.1), (0.0, 0.38, 0.1)),
        "eps": (0.0,) * 3,
        "barrier_forward": 0.4,
        "barrier_forward_std": 0.02,
        "barrier_backward": 0.3,
        "barrier_backward_std": 0.02,
    }
    return HopProfile(**{**values, **changes})


def evaluation(kind="curves", n=0, **content):
    arrays = {name: np.zeros(n) for name in ("energy_predicted", "energy_label", "eps", "max_force_error")}
    values = {"committee": "com_0", "labels_sha256": "a", "n_structures": n, "n_atoms": n, "groups": (), **arrays}
    return Evaluation(kind=kind, **{**values, **content})


def fresh(seed, n=12, **calibration):
    rng = np.random.default_rng(seed)
    eps = rng.uniform(0.1, 0.6, n)
    told = Calibration(n_structures=n, spearman=0.7, scale=1.3, coverage_90=0.85, factor_90=2.0, **calibration)
    return evaluation("fresh", n, eps=eps, max_force_error=1.3 * eps, calibration=told)


def entry(phase="alpha", temperature_k=500.0, **changes):
    values = {"ensemble": "nvt", "n_explored": 200, "n_flagged": 30, "n_selected": 3}
    return LedgerEntry(phase=phase, temperature_k=temperature_k, **{**values, **changes})


PAIR = {
    "generation 0": evaluation(energy_volumes=(curve(),), hops=(hop(problem="not converged"),)),
    "generation 3": evaluation(energy_volumes=(curve(), curve("ideal")), hops=(hop(), hop(1))),
}
FIGURES = {
    "curves": lambda: energy_volume_figure(PAIR),
    "hops": lambda: hop_figure(PAIR),
    "map": lambda: structure_map_figure(np.eye(4)[:, :2], ["a", "a", "b", "b"], ["cell", "x", "x", "x"]),
    "calibration": lambda: calibration_figure({index: fresh(index) for index in range(1, 8)}),
    "ledger": lambda: ledger_figure([entry(), entry("ideal"), entry(temperature_k=900.0)]),
}


def legend_of(axes):
    return [text.get_text() for text in axes.get_legend().get_texts()]


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_drawn_twice_has_the_same_bytes(name, tmp_path):
    files = [save_figure(FIGURES[name](), tmp_path / f"{number}.png").read_bytes() for number in range(2)]
    assert files[0] == files[1]
    assert files[0].startswith(b"\x89PNG")


def test_every_phase_has_a_panel_with_its_numbers():
    alpha, ideal = FIGURES["curves"]().axes
    assert legend_of(alpha) == [
        "generation 0: 31.20 ± 0.40 GPa at 20.40 Å³",
        "generation 3: 31.20 ± 0.40 GPa at 20.40 Å³",
    ]
    assert legend_of(ideal) == ["generation 3: 31.20 ± 0.40 GPa at 20.40 Å³"]
    labelled = curve(energy_label=(-4.0, -4.02, None, -3.9), v0=None, problem="no minimum near 19 to 22 A^3/atom")
    (axes,) = energy_volume_figure({"now": evaluation(energy_volumes=(labelled,))}).axes
    assert legend_of(axes) == ["now: no minimum near", "labels"]
    (marks,) = [line for line in axes.lines if line.get_label() == "labels"]
    np.testing.assert_allclose(marks.get_ydata(), [20, 0, np.nan, 120])


def test_every_hop_has_a_panel_with_its_barriers():
    first, second = FIGURES["hops"]().axes
    assert legend_of(first) == [
        "generation 0: 0.400 ± 0.020, 0.300 ± 0.020 eV\n(not a path to trust)",
        "generation 3: 0.400 ± 0.020, 0.300 ± 0.020 eV",
    ]
    assert second.get_legend().get_title().get_text() == "Li in alpha, hop 1: barrier there, back"
    nothing = {"structures": (), "distance": (), "energy": (), "energy_members": (), "eps": ()}
    bad = hop(**nothing, barrier_forward=None, barrier_backward=None, problem="atom 6 is Zr")
    (axes,) = hop_figure({"now": evaluation(hops=(bad,))}).axes
    assert legend_of(axes) == ["now: no path"]


def test_more_panels_than_a_row_holds_go_into_the_next():
    phases = [curve(f"phase {number}") for number in range(6)]
    figure = energy_volume_figure({"now": evaluation(energy_volumes=tuple(phases))})
    rows = {axes.get_subplotspec().rowspan.start for axes in figure.axes}
    assert (len(figure.axes), rows) == (6, {0, 1})


def test_the_map_counts_groups_and_sources():
    (axes,) = FIGURES["map"]().axes
    assert legend_of(axes) == ["a, cell: 1", "a, x: 1", "b, x: 2"]


def test_many_generations_fold_into_one_cloud():
    scatter, course = FIGURES["calibration"]().axes
    assert legend_of(scatter) == [
        "generations 1 to 3: n = 36",
        *(f"generation {index}: n = 12" for index in range(4, 8)),
        "90 % of the last below 2 eps",
    ]
    assert legend_of(course) == ["rank correlation", "scale, error / eps", "coverage, 0.9 wanted"]
    bare = evaluation("fresh", 2, eps=[0.1, 0.2], max_force_error=[0.1, 0.3], calibration=Calibration(n_structures=2))
    assert legend_of(calibration_figure({1: bare}).axes[0]) == ["generation 1: n = 2"]


def test_the_ledger_has_its_numbers_in_their_cells():
    explored, doubted, chosen = FIGURES["ledger"]().axes
    cells = {text.get_position(): text.get_text() for text in explored.texts}
    assert cells == {(0, 0): "200", (1, 0): "200", (0, 1): "200"}
    assert {text.get_text() for text in doubted.texts} == {"15"}
    assert [text.get_text() for text in chosen.get_xticklabels()] == ["NVT 500 K", "NVT 900 K"]
    assert [text.get_text() for text in explored.get_yticklabels()] == ["alpha", "ideal"]
    npt = ledger_figure([entry(ensemble="npt", pressure_gpa=0.1, n_explored=0, n_flagged=0)])
    assert npt.axes[2].get_xticklabels()[0].get_text() == "NPT 500 K 0.1 GPa"
    assert not npt.axes[1].texts
