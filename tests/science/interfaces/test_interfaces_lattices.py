import numpy as np
import pytest

from lizrcl_flows.science.interfaces.lattices import (
    basis_of_metric,
    common_lattice,
    extended_gcd,
    lattice_points,
    metric_rows,
    normal_form,
    plane_vectors,
    reduce_metrics,
    sublattices,
)


def determinants(matrices):
    return np.rint(np.linalg.det(matrices)).astype(int)


def test_extended_gcd_is_bezout():
    for a in range(-12, 13):
        for b in range(-12, 13):
            g, x, y = extended_gcd(a, b)
            assert g == np.gcd(a, b)
            assert a * x + b * y == g


def test_plane_vectors_span_the_plane_and_lead_to_the_next():
    for place in np.ndindex(9, 9, 9):
        hkl = tuple(index - 4 for index in place)
        if np.gcd.reduce(hkl) != 1:
            continue
        rows = plane_vectors(hkl)
        assert (rows @ hkl).tolist() == [0, 0, 1]
        assert determinants(rows) == 1


def test_indices_with_a_common_divisor_are_no_plane():
    with pytest.raises(ValueError, match="greatest common divisor of 1"):
        plane_vectors((2, 0, 4))


@pytest.mark.parametrize("index", [1, 2, 6, 12, 49])
def test_there_are_as_many_sublattices_as_the_divisors_add_up_to(index):
    forms = sublattices(index)
    assert len(forms) == sum(d for d in range(1, index + 1) if index % d == 0)
    assert (determinants(forms) == index).all()
    assert (normal_form(forms) == forms).all()


def test_reduction_finds_the_two_shortest_vectors_and_keeps_the_lattice():
    rng = np.random.default_rng(1)
    bases = rng.normal(size=(300, 2, 2))
    bases[np.linalg.det(bases) < 0, 1] *= -1
    bases = bases[np.linalg.det(bases) > 0.2]
    matrices, reduced = reduce_metrics(metric_rows(bases))
    assert (determinants(matrices) == 1).all()
    np.testing.assert_allclose(metric_rows(matrices @ bases), reduced, rtol=1e-9, atol=1e-12)
    span = np.array([(a, b) for a in range(-40, 41) for b in range(-40, 41) if (a, b) != (0, 0)])
    for basis, (aa, ab, bb) in zip(bases, reduced, strict=True):
        lengths = ((span @ basis) ** 2).sum(axis=1)
        shortest = np.argsort(lengths)
        second = next(i for i in shortest if span[shortest[0]] @ [span[i][1], -span[i][0]] != 0)
        assert aa == pytest.approx(lengths[shortest[0]])
        assert bb == pytest.approx(lengths[second])
        assert -aa * (1 + 1e-6) <= 2 * ab < aa


def test_a_hexagonal_lattice_is_always_given_with_120_degrees():
    hexagonal = np.array([[1.0, 0.0], [0.5, np.sqrt(3) / 2]])
    for turn in ([[1, 0], [0, 1]], [[1, 5], [0, 1]], [[2, 3], [1, 2]], [[0, 1], [-1, 0]]):
        _, reduced = reduce_metrics(metric_rows(np.array(turn) @ hexagonal)[None])
        np.testing.assert_allclose(reduced[0], [1, -0.5, 1], atol=1e-9)


def test_normal_form_does_not_depend_on_the_basis():
    rng = np.random.default_rng(2)
    rows = rng.integers(-9, 10, (500, 2, 4))
    rows = rows[determinants(rows[:, :, :2]) != 0]
    turns = np.array([[[2, 3], [1, 2]], [[0, 1], [1, 0]], [[-1, 0], [7, 1]], [[5, 2], [2, 1]]])
    forms = normal_form(rows)
    for turn in turns:
        assert (normal_form(turn @ rows) == forms).all()
    assert (forms[:, 1, 0] == 0).all()
    assert (forms[:, 0, 0] > 0).all()
    assert ((forms[:, 0, 1] >= 0) & (forms[:, 0, 1] < forms[:, 1, 1])).all()


def test_a_supercell_holds_each_lattice_point_once():
    matrix = np.array([[3, -2], [1, 4]])
    points = lattice_points(matrix)
    assert len(points) == 14
    fractional = points @ np.linalg.inv(matrix) % 1
    assert len(np.unique(np.round(fractional, 6) % 1, axis=0)) == 14


def test_metric_and_basis_belong_together():
    basis = np.array([[3.0, 0.0], [-1.0, 2.5]])
    np.testing.assert_allclose(basis_of_metric(metric_rows(basis)), basis)


def test_the_common_lattice_holds_both_lattices_and_nothing_finer():
    rng = np.random.default_rng(3)
    for _ in range(50):
        random = rng.integers(-5, 6, (40, 2, 2))
        matrices = random[determinants(random) > 0][:2]
        common = common_lattice((matrices[0], matrices[1]))
        for matrix in matrices:
            steps = np.linalg.inv(matrix) @ np.linalg.inv(common)
            np.testing.assert_allclose(steps, np.rint(steps), atol=1e-6)
        # the area of L1 + L2 follows from that of their intersection: |L1 + L2| |L1 n L2| = |L1| |L2|
        rows = np.hstack(list(matrices))
        minors = [determinants(rows[:, [i, j]]) for i in range(4) for j in range(i + 1, 4)]
        repeats = np.gcd.reduce(np.array(minors))
        wanted = repeats / (determinants(matrices[0]) * determinants(matrices[1]))
        assert abs(np.linalg.det(common)) == pytest.approx(wanted)
