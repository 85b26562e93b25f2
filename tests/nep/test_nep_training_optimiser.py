"""The optimiser on problems whose answers are known."""

import numpy as np
import pytest

from lizrcl_flows.nep.model import NepHeader
from lizrcl_flows.nep.training_optimiser import LARGEST_SIDE, Soap
from lizrcl_flows.nep.training_parameters import (
    add_references,
    descriptor_scale,
    places,
    random_parameters,
    reserve_constant_neurons,
)

HEADER = NepHeader(4, ("Li", "Cl"), ((5.0, 4.0),) * 2, (2, 3), (4, 5), 4, True, True, 6)


def ill_conditioned(rows, columns, seed=0):
    """Loss |A X B - Y|^2 / 2 of a matrix X whose rows and columns are strongly correlated, and its gradient."""
    generator = np.random.default_rng(seed)

    def correlated(n):
        axes = np.linalg.qr(generator.normal(size=(n, n)))[0]
        return axes * np.logspace(0, -1.5, n) @ axes.T

    left, right = correlated(rows), correlated(columns)
    target = left @ generator.normal(size=(rows, columns)) @ right

    def loss(values):
        error = left @ values.reshape(rows, columns) @ right - target
        return 0.5 * np.sum(error**2), (left.T @ error @ right.T).ravel()

    return loss


def minimise(loss, count, matrices, steps):
    optimiser, values = Soap(count, matrices), np.zeros(count)
    for step in range(steps):
        values -= 0.05 * (1 - step / steps) * optimiser.direction(loss(values)[1])
    return loss(values)[0], optimiser


def test_correlated_matrices_are_solved_faster_than_by_adam():
    loss = ill_conditioned(12, 15)
    index = np.arange(180).reshape(1, 12, 15)
    begin = loss(np.zeros(180))[0]
    with_basis, _ = minimise(loss, 180, [index], 400)
    without, _ = minimise(loss, 180, [], 400)
    assert with_basis < 1e-3 * begin
    assert with_basis < 0.2 * without


def test_a_side_that_is_too_long_keeps_its_basis():
    rows = LARGEST_SIDE + 2
    loss = ill_conditioned(rows, 3)
    index = np.arange(3 * rows).reshape(1, rows, 3)
    begin = loss(np.zeros(3 * rows))[0]
    end, _ = minimise(loss, 3 * rows, [index], 300)
    assert end < 0.05 * begin


def test_state_continues_to_the_same_bits():
    loss = ill_conditioned(6, 7)
    index = np.arange(42).reshape(1, 6, 7)
    one = Soap(42, [index])
    values = np.zeros(42)
    for _ in range(25):
        values -= 0.01 * one.direction(loss(values)[1])
    other = Soap(42, [index])
    other.restore({name: array.copy() for name, array in one.state().items()})
    for _ in range(25):
        gradient = loss(values)[1]
        direction = one.direction(gradient)
        np.testing.assert_array_equal(direction, other.direction(gradient))
        values -= 0.01 * direction


def test_every_parameter_has_one_place():
    at = places(HEADER)
    found = np.concatenate([part.ravel() for part in (at.w0, at.b0, at.w1, at.radial, at.angular)])
    np.testing.assert_array_equal(np.sort(np.append(found, at.b1)), np.arange(HEADER.n_parameters))


def test_places_follow_nep_txt():
    """Coefficients are written n, k, centre, neighbour with the neighbour fastest."""
    at = places(HEADER)
    first = HEADER.n_networks * HEADER.network_size + 1
    n, k, centre, neighbour = 2, 3, 1, 0
    assert at.radial[centre, n, k * 2 + neighbour] == first + ((n * 5 + k) * 2 + centre) * 2 + neighbour
    assert at.w0[1, 2, 3] == HEADER.network_size + 2 * HEADER.n_descriptors + 3


def test_constant_neurons_give_reference_energies():
    generator = np.random.default_rng(0)
    values = random_parameters(HEADER, generator)
    free = reserve_constant_neurons(HEADER, values)
    at = places(HEADER)
    assert (~free).sum() == 2 * (HEADER.n_descriptors + 2)
    out = add_references(HEADER, values, np.array([-200.0, 3.0]), -5.0)
    assert out[at.b1] == pytest.approx(5.0)
    neuron = np.tanh(-out[at.b0[:, -1]]) * out[at.w1[:, -1]]
    np.testing.assert_allclose(neuron, [-200.0, 3.0], rtol=1e-14)
    assert not out[at.w0[:, -1]].any()


def test_scale_is_one_over_the_range():
    rows = np.array([[1.0, 5.0, -2.0], [3.0, 5.0, 2.0]])
    np.testing.assert_array_equal(descriptor_scale(rows), [0.5, 1.0, 0.25])
