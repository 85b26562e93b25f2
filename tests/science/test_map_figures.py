import numpy as np
import pytest

from lizrcl_flows.science.figures import save_figure
from lizrcl_flows.science.map_figures import MOST_GROUPS, map_figure

NONE = np.zeros((0, 2))


def drawn(n=60, n_groups=2, n_chosen=5, n_known=4, seed=0):
    rng = np.random.default_rng(seed)
    groups = [f"phase {number % n_groups}" for number in range(n)]
    return map_figure(rng.normal(size=(n, 2)), groups, range(n_chosen), rng.normal(size=(n_known, 2)), (0.61, 0.124))


def legend_of(figure):
    return [text.get_text() for text in figure.axes[0].get_legend().get_texts()]


def numbers_of(figure):
    return [text.get_text() for text in figure.axes[0].texts]


def test_legend_and_axes_tell_all_numbers():
    figure = drawn()
    assert legend_of(figure) == [
        "phase 0: 30, 3 chosen",
        "phase 1: 30, 2 chosen",
        "known before: 4",
        "chosen (numbered in order)",
    ]
    axes = figure.axes[0]
    assert axes.get_legend().get_title().get_text() == "60 candidates, 5 chosen"
    assert axes.get_xlabel() == "Principal component 1 (61.0 % of the variance)"
    assert axes.get_ylabel() == "Principal component 2 (12.4 % of the variance)"
    assert numbers_of(figure) == ["1", "2", "3", "4", "5"]


def test_rings_are_where_the_chosen_lie():
    xy = np.random.default_rng(1).normal(size=(20, 2))
    figure = map_figure(xy, ["alpha"] * 20, [7, 3], NONE, (0.5, 0.2))
    (rings,) = [line for line in figure.axes[0].lines if line.get_label().startswith("chosen")]
    np.testing.assert_array_equal(rings.get_xydata(), xy[[7, 3]])
    assert rings.get_markerfacecolor() == "none"
    assert figure.axes[0].texts[0].xy == tuple(xy[7])


def test_groups_differ_in_colour_or_marker_and_do_not_explode():
    figure = drawn(n=300, n_groups=17)
    marks = [line for line in figure.axes[0].lines if line.get_label().startswith("phase")]
    assert len({(line.get_color(), line.get_marker()) for line in marks}) == len(marks) == 17
    assert len({line.get_marker() for line in marks[:6]}) == 6
    many = legend_of(drawn(n=300, n_groups=60))
    assert len(many) == MOST_GROUPS + 2
    assert many[MOST_GROUPS - 1] == "41 others: 205, 0 chosen"


def test_small_groups_lie_on_top_of_large_ones():
    xy = np.random.default_rng(1).normal(size=(20, 2))
    figure = map_figure(xy, ["few"] * 3 + ["many"] * 17, [], NONE, (0.5, 0.2))
    few, many = (line for line in figure.axes[0].lines if len(line.get_xdata()) in (3, 17))
    assert few.get_zorder() > many.get_zorder()


def test_with_many_choices_the_first_are_numbered_and_the_cloud_is_an_image(tmp_path):
    figure = drawn(n=10_000, n_groups=3, n_chosen=200, n_known=2000)
    assert numbers_of(figure) == [str(number + 1) for number in range(12)]
    assert "chosen (first 12 numbered)" in legend_of(figure)
    assert save_figure(figure, tmp_path / "map.pdf").stat().st_size < 2_000_000


@pytest.mark.parametrize(("n", "n_chosen", "n_known"), [(0, 0, 0), (1, 1, 0), (5, 0, 3)])
def test_there_is_a_figure_of_little_or_nothing(n, n_chosen, n_known, tmp_path):
    figure = drawn(n=n, n_chosen=n_chosen, n_known=n_known)
    assert ("known before: 3" in legend_of(figure)) == (n_known == 3)
    assert save_figure(figure, tmp_path / "map.png").stat().st_size > 1000


def test_it_is_the_same_every_time(tmp_path):
    first = save_figure(drawn(n_groups=9), tmp_path / "first.png").read_bytes()
    assert first == save_figure(drawn(n_groups=9), tmp_path / "second.png").read_bytes()
