import subprocess
import sys

import numpy as np
import pytest

from lizrcl_flows.documents import Calibration, Evaluation, Transport
from lizrcl_flows.science.figure_style import with_uncertainty
from lizrcl_flows.science.figures import (
    eps_figure,
    learning_curve_figure,
    msd_figure,
    parity_figure,
    save_figure,
)


def evaluation(error=0.02, n=12, seed=0):
    rng = np.random.default_rng(seed)
    label = -4.5 + 0.02 * rng.normal(size=n)
    eps = rng.uniform(0.1, 0.5, n)
    return Evaluation(
        committee="com_0",
        kind="holdout",
        labels_sha256="0" * 64,
        n_structures=n,
        n_atoms=30 * n,
        groups=(),
        calibration=Calibration(n_structures=n, spearman=0.8),
        energy_predicted=label + error * np.where(np.arange(n) % 2, 1, -1),
        energy_label=label,
        eps=eps,
        max_force_error=1.5 * eps,
    )


def transport(protocol="gls_blocks", trajectory="tra_0", **found):
    lag = np.linspace(0.1, 10, 30)
    content = {"status": "resolved", "diffusivity": 0.5, "diffusivity_std": 0.026, "msd_offset_a2": 1.0, **found}
    return Transport(
        trajectories=(trajectory,),
        species="Li",
        protocol=protocol,
        temperature_k=700,
        phase="alpha",
        n_ions=24,
        n_frames=500,
        n_lags=len(lag),
        lag_ps=lag,
        msd_a2=3 * lag + 1,
        **content,
    )


def forces():
    label = np.random.default_rng(1).normal(size=(40, 3))
    return label + 0.1, label


FIGURES = {
    "parity": lambda: parity_figure({"before": evaluation(), "after": evaluation(0.005)}, {"before": forces()}),
    "eps": lambda: eps_figure({1: np.linspace(0.1, 2, 50), 2: np.linspace(0.05, 1, 40)}, 0.15, 5.0),
    "learning": lambda: learning_curve_figure([20, 28, 36], [0.02, 0.01, None], [0.2, 0.1, 0.05], 8),
    "msd": lambda: msd_figure([transport(), transport("paper", diffusivity_std=0.1)]),
}


def legend_of(axes):
    return [text.get_text() for text in axes.get_legend().get_texts()]


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_drawn_twice_has_the_same_bytes_whatever_the_users_style(name, tmp_path):
    import matplotlib as mpl

    first = save_figure(FIGURES[name](), tmp_path / "first.png").read_bytes()
    with mpl.rc_context({"font.size": 30, "lines.linewidth": 9, "axes.facecolor": "red"}):
        second = save_figure(FIGURES[name](), tmp_path / "second.png").read_bytes()
    assert first == second
    assert first.startswith(b"\x89PNG")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["first.png", "second.png"]


@pytest.mark.parametrize("name", FIGURES)
def test_every_axis_says_what_it_shows_in_which_unit(name):
    for axes in FIGURES[name]().axes:
        assert axes.get_xlabel()
        assert axes.get_ylabel()
        for label in (axes.get_xlabel(), axes.get_ylabel()):
            assert label in {"Training labels"} or label.endswith(")")


def test_parity_says_n_and_the_error_it_really_has():
    energy, force, deviation = parity_figure({"before": evaluation(0.02)}, {"before": forces()}).axes
    assert legend_of(energy) == ["before: n = 12, RMSE 20 meV/atom"]
    assert legend_of(force) == ["before: n = 120, RMSE 100 meV/Å"]
    assert legend_of(deviation) == ["before: n = 12, rank correlation 0.80"]


def test_parity_shows_the_points_on_equal_axes():
    entry = evaluation()
    energy, deviation = parity_figure({"a": entry}).axes
    x, y = energy.lines[0].get_data()
    np.testing.assert_allclose(y - x, (entry.energy_predicted - entry.energy_label) * 1000)
    assert energy.get_xlim() == energy.get_ylim()
    assert deviation.get_xlim() == deviation.get_ylim()
    low, high = deviation.get_xlim()
    assert high / low >= 10 - 1e-9


def test_energies_that_span_electronvolts_are_shown_in_electronvolts():
    wide = evaluation()
    wide = wide.revised(
        energy_label=wide.energy_label + np.arange(12), energy_predicted=wide.energy_label + np.arange(12)
    )
    assert "(eV/atom)" in parity_figure({"a": wide}).axes[0].get_xlabel()
    assert "(meV/atom)" in parity_figure({"a": evaluation()}).axes[0].get_xlabel()


def test_parity_without_usable_eps_says_none_are_shown(tmp_path):
    empty = evaluation().revised(eps=np.zeros(12), calibration=None)
    figure = parity_figure({"a": empty})
    assert legend_of(figure.axes[1]) == ["a: n = 0"]
    save_figure(figure, tmp_path / "a.png")


def test_eps_counts_frames_and_what_it_cannot_show():
    axes = eps_figure({2: np.array([0.2, np.nan, np.inf]), 1: np.array([])}, 0.3).axes[0]
    ticks = [label.get_text() for label in axes.get_xticklabels()]
    assert ticks == ["1\nn = 0", "2\nn = 3\n(2 not shown)"]
    assert [text.get_text() for text in axes.texts] == ["eps_lo = 0.3"]


def test_eps_draws_every_frame_and_the_median():
    values = np.random.default_rng(2).lognormal(size=99)
    axes = eps_figure({1: values}, 0.3, 3.0).axes[0]
    drawn = [line.get_ydata() for line in axes.lines]
    assert any(len(y) == 99 and set(y) == set(values) for y in drawn)
    assert any(np.allclose(y, np.median(values)) for y in drawn)


def test_learning_curve_is_in_milli_units_and_leaves_gaps():
    energy, force = FIGURES["learning"]().axes
    np.testing.assert_allclose(energy.lines[0].get_ydata(), [20, 10, np.nan])
    np.testing.assert_allclose(force.lines[0].get_ydata(), [200, 100, 50])
    assert [text.get_text() for text in force.texts] == ["200", "100", "50"]
    assert "n = 8" in energy.get_title(loc="left")


def test_msd_draws_one_curve_per_run_and_a_line_per_coefficient():
    axes = msd_figure([transport(), transport("paper", diffusivity_std=0.1), transport(trajectory="tra_1")]).axes[0]
    curves = [line for line in axes.lines if len(line.get_xdata()) == 30]
    assert len(curves) == 2
    assert legend_of(axes) == [
        "Li, alpha, 700 K, n = 24 ions",
        "gls_blocks: D = 0.500 ± 0.026 Å²/ps",
        "paper: D = 0.50 ± 0.10 Å²/ps",
        "Li, alpha, 700 K, n = 24 ions",
        "gls_blocks: D = 0.500 ± 0.026 Å²/ps",
    ]
    line = next(line for line in axes.lines if len(line.get_xdata()) == 2)
    np.testing.assert_allclose(line.get_ydata(), [1.0, 6 * 0.5 * 10 + 1.0])


def test_msd_says_where_there_is_no_coefficient():
    missing = transport(status="not_resolved", reason="short", diffusivity=None, diffusivity_std=None)
    axes = msd_figure([missing]).axes[0]
    assert legend_of(axes)[1] == "gls_blocks: not resolved"


@pytest.mark.parametrize(
    ("value", "std", "text"),
    [
        (0.4837, 0.0262, "0.484 ± 0.026"),
        (12.34, 3.21, "12.3 ± 3.2"),
        (1234.0, 56.0, "1234 ± 56"),
        (-0.012, 0.1, "\N{MINUS SIGN}0.01 ± 0.10"),
        (0.5, 0.0, "0.5"),
    ],
)
def test_a_value_is_written_to_the_second_digit_of_its_uncertainty(value, std, text):
    assert with_uncertainty(value, std) == text


def test_a_failed_write_leaves_nothing_behind(tmp_path):
    (tmp_path / "a.png").mkdir()
    with pytest.raises(OSError, match=r"a\.png"):
        save_figure(FIGURES["learning"](), tmp_path / "a.png")
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_nothing_heavy_is_imported_and_pyplot_never():
    code = (
        "import sys, lizrcl_flows.science.figures as figures; "
        "assert 'matplotlib' not in sys.modules; "
        "figures.learning_curve_figure([1, 2], [0.1, 0.2], [0.1, 0.2]); "
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_no_module_of_science_imports_heavy_packages():
    modules = [
        *("structures", "geometry", "perturbation", "selection", "energies", "parity", "convergence", "thermo"),
        *("descriptors", "msd", "msd_fit", "diffusion", "screening"),
    ]
    code = (
        "import importlib, sys\n"
        f"for name in {modules}: importlib.import_module(f'lizrcl_flows.science.{{name}}')\n"
        "heavy = {'ase', 'pymatgen', 'scipy', 'matplotlib', 'jobflow', 'spglib'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
