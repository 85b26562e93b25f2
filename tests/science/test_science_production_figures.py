"""Figures of production runs: what they draw of known numbers, and that nothing to draw is no error."""

import io

import numpy as np
import pytest

from lizrcl_flows.science.production_figures import eps_along_run_figure, residence_figure, thermo_figure
from lizrcl_flows.science.slab_figures import (
    coordination_profile_figure,
    density_map_figure,
    glide_figure,
    hop_map_figure,
    layer_population_figure,
)
from lizrcl_flows.science.structure_figures import (
    chain_figure,
    csm_volume_figure,
    displacement_classes_figure,
    environment_map_figure,
    rdf_figure,
)
from lizrcl_flows.science.transport_figures import (
    ArrheniusLine,
    ArrheniusSeries,
    Coefficient,
    MsdCurves,
    arrhenius_figure,
    composite_figure,
    displacement_figure,
    regional_figure,
)

NOTHING = np.zeros(0)
NAN = np.full(3, np.nan)
THREE = np.array([0.0, 1.0, 2.0])

EMPTY = {
    "arrhenius": lambda: arrhenius_figure({}),
    "displacement": lambda: displacement_figure(MsdCurves(NOTHING, NOTHING)),
    "regional": lambda: regional_figure([], NOTHING, NOTHING),
    "composite": lambda: composite_figure(NOTHING, NOTHING),
    "thermo": lambda: thermo_figure(NOTHING, NOTHING, NOTHING, NOTHING),
    "eps": lambda: eps_along_run_figure(NOTHING, NOTHING, 0.1),
    "residence": lambda: residence_figure(NOTHING, {}),
    "density": lambda: density_map_figure(NOTHING, NOTHING, np.zeros((0, 0))),
    "hops": lambda: hop_map_figure(NOTHING, NOTHING, *(np.zeros((0, 0)),) * 3, NOTHING),
    "coordination": lambda: coordination_profile_figure(NOTHING, {}),
    "layers": lambda: layer_population_figure(NOTHING, NOTHING, np.zeros((0, 0))),
    "glide": lambda: glide_figure(NOTHING, np.zeros((0, 0))),
    "displacements": lambda: displacement_classes_figure(NOTHING, NOTHING, [], {}),
    "polyhedra": lambda: csm_volume_figure(NOTHING, NOTHING, NOTHING, []),
    "rdf": lambda: rdf_figure({}),
    "chains": lambda: chain_figure(NOTHING, NOTHING),
    "environments": lambda: environment_map_figure(np.zeros((0, 2)), []),
}
UNKNOWN = {
    "arrhenius": lambda: arrhenius_figure({"alpha": ArrheniusSeries(THREE, NAN, NAN)}),
    "displacement": lambda: displacement_figure(MsdCurves(THREE, NAN, np.full((3, 3), np.nan), NAN)),
    "regional": lambda: regional_figure(["a", "b", "c"], NAN, NAN),
    "composite": lambda: composite_figure(NAN, NAN),
    "thermo": lambda: thermo_figure(THREE, NAN, NAN, NAN),
    "eps": lambda: eps_along_run_figure(THREE, NAN, 0.1),
    "residence": lambda: residence_figure(THREE, {"site": NAN}),
    "density": lambda: density_map_figure(THREE, THREE, np.full((3, 2), np.nan)),
    "hops": lambda: hop_map_figure(THREE, THREE, *(np.zeros((2, 2)),) * 3, NAN[:2]),
    "coordination": lambda: coordination_profile_figure(THREE, {"Li-Cl": NAN}, NAN),
    "layers": lambda: layer_population_figure(THREE, THREE, np.full((3, 3), np.nan)),
    "glide": lambda: glide_figure(THREE, np.full((3, 3), np.nan)),
    "displacements": lambda: displacement_classes_figure(NAN, NAN, ["z"] * 3, {"bulk": {"z": 0}}),
    "polyhedra": lambda: csm_volume_figure(NAN, NAN, np.array([4, 5, 6]), ["bulk"] * 3),
    "rdf": lambda: rdf_figure({"Li-Cl": (THREE, NAN, NAN)}),
    "chains": lambda: chain_figure(THREE, NAN),
    "environments": lambda: environment_map_figure(np.full((3, 2), np.nan), ["bulk"] * 3),
}


def drawn(figure):
    """Return the bytes of a small picture: drawing is where bad numbers show."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=30)
    return buffer.getvalue()


def texts(figure):
    return [text.get_text() for text in figure.findobj(lambda artist: hasattr(artist, "get_text"))]


@pytest.mark.parametrize("name", EMPTY)
def test_without_data_a_figure_says_so(name):
    assert "no data" in texts(EMPTY[name]())


@pytest.mark.parametrize("name", UNKNOWN)
def test_numbers_that_are_none_are_left_out(name):
    assert len(drawn(UNKNOWN[name]())) > 1000


def test_an_arrhenius_law_is_drawn_through_its_points_and_down_to_300_k():
    kelvin = np.array([450.0, 550.0, 700.0])
    line = ArrheniusLine(0.29, 0.01, np.log(5.0), np.array([[0.04, 0.0], [0.0, 1e-4]]))
    values = np.exp(line.ln_d(kelvin)[0])
    figure = arrhenius_figure({"alpha": ArrheniusSeries(kelvin, values, 0.1 * values, line, [400.0], [1e-3])})
    axes = figure.axes[0]
    x, y = axes.lines[0].get_data()
    assert np.interp(1000 / 550, x, np.log(y)) == pytest.approx(np.log(1e-4 * values[1]), abs=1e-3)
    assert max(axes.lines[1].get_xdata()) == pytest.approx(1000 / 300)
    # by hand: var ln D = 0.2^2 + (0.01 / kT)^2
    std = np.sqrt(0.2**2 + (0.01 / (8.617333262e-5 * 300)) ** 2)
    assert line.ln_d(np.array([300.0]))[1][0] == pytest.approx(std)
    assert any("0.290 ± 0.010 eV" in text for text in texts(figure))


def test_lines_of_coefficients_have_their_slope():
    lag = np.linspace(0, 100, 50)
    xyz = np.stack([2 * d * lag + 0.3 for d in (0.01, 0.02, 0.03)], axis=1)
    total, paper = Coefficient(0.02, 0.001, 3, 0.9), Coefficient(0.05, 1e-4)
    by_axis = [Coefficient(d, 0.001, 1) for d in (0.01, 0.02, 0.03)]
    figure = displacement_figure(MsdCurves(lag, xyz.sum(1), xyz, xyz.sum(1)), total, by_axis, paper)
    first, second = figure.axes
    thin = [line.get_ydata() for line in first.lines if len(line.get_xdata()) == 2]
    assert [(y[1] - y[0]) / 100 for y in thin] == pytest.approx([0.02, 0.04, 0.06])
    assert [y[0] for y in thin] == pytest.approx([0.3] * 3)  # the offset that the curves have
    fitted = [line.get_ydata() for line in second.lines if len(line.get_xdata()) == 2]
    assert [(y[1] - y[0]) / 100 for y in fitted] == pytest.approx([0.12, 0.3])


def test_hops_are_drawn_per_ion_and_ns():
    occupancy = np.array([[10.0, 0.0], [30.0, 0.0]])
    paper, counted = np.array([[20, 0], [60, 0]]), np.array([[10, 0], [30, 0]])
    figure = hop_map_figure([0, 500, 1000], [0, 5, 10], paper, counted, occupancy, np.array([1.5, np.nan]))
    profile = next(axes for axes in figure.axes if axes.get_xlabel() == "Hops per ion and ns")
    first, second, false = (line.get_xdata() for line in profile.lines)
    # (20 + 60) hops of (10 + 30) ions in half a ns each
    assert first[0] == pytest.approx(4.0)
    assert second[0] == pytest.approx(2.0)
    assert false[0] == pytest.approx(1.5)
    assert np.isnan(first[1])


def test_layers_tell_how_rich_every_other_one_is():
    population = np.tile([128.0, 64.0, 128.0, 64.0], (5, 1))
    figure = layer_population_figure(np.arange(5.0), np.arange(4.0), population)
    assert "every other layer, rich to poor: 2" in [axes.get_title(loc="left") for axes in figure.axes]


def test_eps_says_how_many_frames_were_not_learnt():
    figure = eps_along_run_figure(np.arange(4.0), np.array([0.05, 0.1, 0.2, 0.05]), 0.1)
    assert any("50 % of 4 frames at or above" in text for text in texts(figure))


def test_polyhedra_have_a_panel_by_region_and_their_medians():
    figure = csm_volume_figure(
        [22.0, 23.0, 24.0, 7.0], [1.0, 1.0, 1.0, 2.0], [6, 6, 6, 4], ["bulk"] * 3 + ["interface"]
    )
    assert len(figure.axes) == 2
    assert any(text.startswith("CN 6: 3, 23.0 Å³, 1") for text in texts(figure))
    assert any(text.startswith("CN 4: 1, 7.0 Å³, 2") for text in texts(figure))


def test_shares_of_displacement_classes_add_up():
    counts = {"bulk": {"immobile": 3, "xy": 1}, "interface": {"z": 2}}
    figure = displacement_classes_figure([0.1, 3.0], [0.2, 0.1], ["immobile", "xy"], counts)
    heights = np.array([patch.get_height() for patch in figure.axes[1].patches]).reshape(-1, 2)
    assert heights.sum(axis=0) == pytest.approx([100.0, 100.0])
    assert heights[0, 0] == pytest.approx(75.0)
