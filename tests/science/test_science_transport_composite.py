import numpy as np
import pytest

from lizrcl_flows.errors import InputError
from lizrcl_flows.science.transport.composite import (
    CORE,
    MATRIX,
    SHELL,
    coated_spheres,
    coated_spheres_curve,
    effective_conductivity,
    maxwell_coated_spheres,
)


def layers(axis, values, shape=(12, 10, 8)):
    along = np.moveaxis(np.empty(shape), axis, 0)
    along[:] = np.resize(values, along.shape[0])[:, None, None]
    return np.moveaxis(along, 0, axis)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_layers_conduct_in_series_across_and_in_parallel_along(axis):
    field = layers(axis, [1.0, 1.0, 0.02, 7.0])
    line = np.moveaxis(field, axis, 0)[:, 0, 0]
    assert effective_conductivity(field, axis) == pytest.approx(1 / np.mean(1 / line), rel=1e-8)
    for other in {0, 1, 2} - {axis}:
        assert effective_conductivity(field, other) == pytest.approx(np.mean(line), rel=1e-8)


def test_a_checkerboard_of_columns_conducts_as_the_geometric_mean():
    # Keller's theorem for two dimensions, up to the coarseness of the voxels at the corners
    block = np.kron([[1.0, 4.0], [4.0, 1.0]], np.ones((32, 32)))[:, :, None]
    assert effective_conductivity(block, 0) == pytest.approx(2.0, rel=0.02)


def test_a_homogeneous_box_and_the_unit():
    assert effective_conductivity(np.full((4, 5, 6), 0.3), 1) == pytest.approx(0.3, rel=1e-12)
    field = np.random.default_rng(0).uniform(0.1, 1, size=(8, 8, 8))
    assert effective_conductivity(1e-5 * field, 2) == pytest.approx(1e-5 * effective_conductivity(field, 2), rel=1e-8)


def test_any_mixture_is_between_its_bounds_and_does_not_depend_on_where_the_box_begins():
    field = np.random.default_rng(1).choice([1.0, 30.0], size=(12, 12, 12))
    found = effective_conductivity(field, 0)
    assert 1 / np.mean(1 / field) < found < np.mean(field)
    assert effective_conductivity(np.roll(field, (3, 5, 7), (0, 1, 2)), 0) == pytest.approx(found, rel=1e-7)


def test_an_insulating_layer_stops_everything():
    field = np.ones((8, 8, 8))
    field[3] = 0.0
    assert effective_conductivity(field, 0) == pytest.approx(0, abs=1e-9)
    assert effective_conductivity(field, 1) == pytest.approx(7 / 8, rel=1e-8)
    assert effective_conductivity(np.zeros((4, 4, 4)), 0) == 0.0


def ball(share, n=24):
    middles = (np.arange(n) + 0.5) / n - 0.5
    distance = np.sqrt(middles[:, None, None] ** 2 + middles[:, None] ** 2 + middles**2)
    return distance < (3 * share / (4 * np.pi)) ** (1 / 3)


@pytest.mark.parametrize("inside", [0.0, 10.0, 100.0])
@pytest.mark.parametrize("share", [0.05, 0.2])
def test_spheres_conduct_as_maxwell_says(inside, share):
    sphere = ball(share)
    filled = sphere.mean()
    contrast = inside - 1
    maxwell = (2 + inside + 2 * filled * contrast) / (2 + inside - filled * contrast)
    assert effective_conductivity(np.where(sphere, inside, 1.0), 2) == pytest.approx(maxwell, rel=0.05)


def test_the_formula_for_coated_spheres_has_the_right_limits():
    bare = maxwell_coated_spheres(0.2, 50.0, 1e-9, 1.0, 9.0)
    assert bare == pytest.approx((1 - 0.2) / (1 + 0.2 / 2), rel=1e-6)
    shell_like_matrix = maxwell_coated_spheres(0.2, 50.0, 5.0, 1.0, 1.0)
    assert shell_like_matrix == pytest.approx(bare, rel=1e-6)
    assert maxwell_coated_spheres(0.0, 50.0, 5.0, 1.3, 9.0) == pytest.approx(1.3)


def test_a_picture_shows_the_share_and_the_shell_that_were_asked_for():
    spheres = coated_spheres(0.2, 50.0, 12.0, 56, seed=4)
    assert spheres.share == pytest.approx(0.2, abs=0.005)
    assert spheres.n_spheres > 1
    assert spheres.n_spheres * 4 / 3 * np.pi * 50**3 / spheres.box_a**3 == pytest.approx(0.2)
    full = 0.2 * ((62 / 50) ** 3 - 1)
    assert 0.7 * full < (spheres.phases == SHELL).mean() <= 1.02 * full  # shells may overlap
    assert set(np.unique(spheres.phases)) == {MATRIX, SHELL, CORE}
    np.testing.assert_array_equal(coated_spheres(0.2, 50.0, 12.0, 56, seed=4).phases, spheres.phases)


def test_the_curve_follows_maxwell_for_few_particles():
    curve = coated_spheres_curve([0.0, 0.05, 0.15], 50.0, 15.0, (1.0, 6.0, 0.0), n_voxels=40, n_arrangements=2)
    assert curve.conductivities[0] == 1.0
    np.testing.assert_allclose(curve.conductivities, curve.maxwell, rtol=0.05)
    # insulating particles raise the conductivity where their surroundings conduct well enough
    assert curve.conductivities[2] > curve.conductivities[1] > 1
    bare = coated_spheres_curve([0.15], 50.0, 15.0, (1.0, 1.0, 0.0), n_voxels=40, n_arrangements=1)
    assert bare.conductivities[0] == pytest.approx((1 - 0.15) / (1 + 0.075), rel=0.03)
    assert np.isnan(bare.stds[0])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: effective_conductivity(np.ones((4, 4)), 0), "three axes"),
        (lambda: effective_conductivity(-np.ones((4, 4, 4)), 0), "conductivity -1 is not accepted"),
        (lambda: effective_conductivity(np.ones((4, 4, 4)), 3), "axis 3 is not accepted"),
        (lambda: coated_spheres(0.6, 50.0, 5.0, 64), r"volume share 0\.6 is not accepted: above 0 and up to 0\.35"),
        (lambda: coated_spheres(0.1, 50.0, 0.0, 64), "must both be positive"),
        (lambda: coated_spheres(0.1, 50.0, 1.0, 64), "64 voxels along .* A do not show a shell of 1 A, 435 are needed"),
    ],
)
def test_wrong_input_is_said_in_a_sentence(call, message):
    with pytest.raises(InputError, match=message):
        call()


def test_a_picture_of_64_voxels_along_an_edge_is_solved():
    spheres = coated_spheres(0.3, 50.0, 10.0, 64, seed=1)
    found = effective_conductivity(np.array([1.0, 5.0, 0.0])[spheres.phases], 0)
    assert found == pytest.approx(maxwell_coated_spheres(0.3, 50.0, 10.0, 1.0, 5.0), rel=0.12)
