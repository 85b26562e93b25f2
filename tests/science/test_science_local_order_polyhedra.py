"""Shapes and volumes of polyhedra against ChemEnv, known volumes, and what must not change them."""

import warnings

import numpy as np
import pytest
from scipy.spatial import ConvexHull

from lizrcl_flows.errors import InputError
from lizrcl_flows.science.local_order.csm import MODELS, REGULAR, continuous_symmetry
from lizrcl_flows.science.local_order.polyhedra import ion_polyhedra, polyhedron_volumes


def rotation(rng):
    q, r = np.linalg.qr(rng.normal(size=(3, 3)))
    return q * np.sign(np.diag(r))


def distorted(rng, name, n, sd):
    """Ideal shapes, turned, with every point moved; centres too."""
    corners = np.array(MODELS[name])
    ligands = np.array([2.5 * corners @ rotation(rng) for _ in range(n)])
    centres = rng.normal(scale=sd, size=(n, 3)) + 7.0
    return centres, ligands + 7.0 + rng.normal(scale=sd, size=ligands.shape)


def chemenv_measures(centre, ligands):
    from pymatgen.analysis.chemenv.coordination_environments.coordination_geometry_finder import (
        AbstractGeometry,
        LocalGeometryFinder,
    )

    finder = LocalGeometryFinder()
    finder.setup_parameters(centering_type="centroid", include_central_site_in_centroid=True)
    finder.local_geometry = AbstractGeometry(
        central_site=centre, bare_coords=ligands, centering_type="centroid", include_central_site_in_centroid=True
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = finder.get_coordination_symmetry_measures(only_minimum=True, all_csms=True)
    return {name: values["csm_wcs_ctwcc"] for name, values in found.items()}


@pytest.mark.parametrize("n_ligands", [4, 5, 6])
def test_measures_are_those_of_chemenv(n_ligands):
    rng = np.random.default_rng(n_ligands)
    for name in [name for name, corners in MODELS.items() if len(corners) == n_ligands]:
        centres, ligands = distorted(rng, name, 4, 0.25)
        ours = continuous_symmetry(centres, ligands)
        for row in range(4):
            theirs = chemenv_measures(centres[row], ligands[row])
            assert set(theirs) == set(ours.by_model)
            for model, value in theirs.items():
                # ChemEnv tries only some assignments of six ligands: it may miss the best one, never beat it
                assert ours.by_model[model][row] <= value + 1e-9
                if n_ligands < 6 or model == name:
                    assert ours.by_model[model][row] == pytest.approx(value, abs=1e-9)


@pytest.mark.parametrize("name", MODELS)
def test_ideal_shapes_have_measure_zero_in_any_orientation_size_and_order(name):
    rng = np.random.default_rng(0)
    corners = np.array(MODELS[name])
    turned = [scale * corners @ rotation(rng) for scale in (0.01, 1.0, 30.0)]
    ligands = np.array([corners, *(one[rng.permutation(len(corners))] for one in turned)])
    measured = continuous_symmetry(np.zeros((4, 3)), ligands)
    assert np.allclose(measured.by_model[name], 0.0, atol=1e-10)
    assert np.all(measured.model == name)


@pytest.mark.parametrize("n_ligands", [4, 5, 6])
def test_measures_do_not_depend_on_orientation_reflection_size_place_or_order(n_ligands):
    rng = np.random.default_rng(1)
    centres, ligands = rng.normal(size=(50, 3)), rng.normal(size=(50, n_ligands, 3))
    first = continuous_symmetry(centres, ligands)
    turn = rotation(rng)
    turn[0] *= -1
    again = continuous_symmetry(3 * centres @ turn + 5, 3 * ligands[:, rng.permutation(n_ligands)] @ turn + 5)
    for name, values in first.by_model.items():
        assert np.allclose(values, again.by_model[name], atol=1e-9)
    assert np.all(first.csm <= first.regular)
    assert np.array_equal(first.regular, first.by_model[REGULAR[n_ligands]])


def test_measure_of_ligands_without_extent_is_not_a_number():
    assert np.isnan(continuous_symmetry(np.zeros((1, 3)), np.zeros((1, 6, 3))).csm[0])
    assert continuous_symmetry(np.zeros((1, 3)), np.zeros((1, 6, 3))).model[0] == ""


def test_measure_refuses_other_numbers_of_ligands():
    with pytest.raises(InputError, match="7 corners"):
        continuous_symmetry(np.zeros((1, 3)), np.zeros((1, 7, 3)))


@pytest.mark.parametrize(
    ("name", "volume"), [("O:6", 4 / 3), ("S:5", 2 / 3), ("T:4", 8 / (9 * np.sqrt(3))), ("S:4", 0.0), ("PP:5", 0.0)]
)
def test_volumes_of_ideal_shapes(name, volume):
    rng = np.random.default_rng(2)
    ligands = np.array([2.57 * np.array(MODELS[name]) @ rotation(rng) + 4 for _ in range(20)])
    assert np.allclose(polyhedron_volumes(ligands), volume * 2.57**3, atol=1e-9)


@pytest.mark.parametrize("n_points", [4, 5, 6, 7, 8, 9])
def test_volumes_are_those_of_convex_hulls(n_points):
    points = np.random.default_rng(n_points).normal(size=(60, n_points, 3)) + 10
    assert np.allclose(polyhedron_volumes(points), [ConvexHull(one).volume for one in points], rtol=1e-11)


def test_volume_of_bodies_with_four_corners_in_a_face():
    cube = np.array([[x, y, z] for x in (0, 2) for y in (0, 2) for z in (0, 2)], dtype=float)
    prism = np.array(MODELS["T:6"])
    assert np.allclose(polyhedron_volumes(np.array([cube, cube @ rotation(np.random.default_rng(0))])), 8.0)
    assert np.allclose(polyhedron_volumes(prism[None]), ConvexHull(prism).volume)
    assert np.allclose(polyhedron_volumes(cube[None, :6]), ConvexHull(cube[:6]).volume)


def test_volume_needs_four_points():
    with pytest.raises(InputError, match="k >= 4"):
        polyhedron_volumes(np.zeros((2, 3, 3)))


def test_polyhedra_of_ions_by_their_numbers_of_ligands():
    shapes = [np.array(MODELS[name]) * 2.5 for name in ("O:6", "T:4", "S:5")] + [np.array(MODELS["O:6"])[:2] * 2.5]
    places = np.array([[5.0, 5, 5], [0.5, 15, 5], [15.0, 5, 15], [15.0, 15, 15]])
    positions = np.concatenate([places, *(shape + place for shape, place in zip(shapes, places, strict=True))])
    ions = np.arange(len(positions)) < 4
    found = ion_polyhedra(positions, 20 * np.eye(3), ions, ~ions, 3.0)
    assert found.cn.tolist() == [6, 4, 5, 2]
    assert found.csm_model.tolist() == ["O:6", "T:4", "S:5", ""]
    assert np.allclose(found.csm[:3], 0, atol=1e-9)
    assert np.allclose(found.csm_regular[:3], 0, atol=1e-9)
    assert np.allclose(found.volume_a3[:3], 2.5**3 * np.array([4 / 3, 8 / (9 * np.sqrt(3)), 2 / 3]))
    assert np.isnan(found.csm[3])
    assert np.isnan(found.volume_a3[3])
    assert found.n_open == 1
    assert "1 with fewer than 4 ligands" in found.remark


def test_polyhedra_without_ligands_are_open_ones():
    positions = np.array([[0.0, 0, 0], [9.0, 9, 9]])
    found = ion_polyhedra(positions, 18 * np.eye(3), np.array([0]), np.array([1]), 3.0)
    assert found.cn.tolist() == [0]
    assert found.n_open == 1
