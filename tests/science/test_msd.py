import numpy as np
import pytest

from lizrcl_flows.errors import InputError
from lizrcl_flows.science.msd import msd_fft, remove_drift, unwrap


def direct_msd(positions):
    """The definition: every pair of frames, one lag at a time."""
    n_frames = len(positions)
    lags = [((positions[k:] - positions[: n_frames - k]) ** 2).mean(axis=(0, 1)) for k in range(n_frames)]
    return np.array(lags)


def walk(rng, n_frames, n_ions, step=0.3):
    return np.cumsum(rng.normal(scale=step, size=(n_frames, n_ions, 3)), axis=0)


@pytest.mark.parametrize(("n_frames", "n_ions"), [(2, 1), (7, 3), (100, 200), (257, 5)])
def test_it_equals_the_direct_sum(n_frames, n_ions):
    positions = walk(np.random.default_rng(n_frames), n_frames, n_ions)
    np.testing.assert_allclose(msd_fft(positions), direct_msd(positions), rtol=1e-9, atol=1e-12)


def test_positions_in_single_precision_are_summed_in_double_precision():
    positions = (walk(np.random.default_rng(7), 300, 70) + 500.0).astype(np.float32)
    assert positions.dtype == np.float32
    np.testing.assert_allclose(msd_fft(positions), direct_msd(positions.astype(np.float64)), rtol=1e-9, atol=1e-12)


def test_one_frame_has_no_displacement():
    np.testing.assert_array_equal(msd_fft(np.ones((1, 4, 3))), np.zeros((1, 3)))


def test_ballistic_motion_grows_with_the_square_of_time():
    velocity = np.random.default_rng(0).normal(size=(20, 3))
    positions = np.arange(64)[:, None, None] * velocity
    expected = np.arange(64)[:, None] ** 2 * (velocity**2).mean(axis=0)
    np.testing.assert_allclose(msd_fft(positions), expected, rtol=1e-9, atol=1e-9)


def test_axes_are_kept_apart():
    positions = walk(np.random.default_rng(1), 500, 50) * [1.0, 2.0, 0.0]
    msd = msd_fft(positions)
    assert msd[1, 1] / msd[1, 0] == pytest.approx(4, rel=0.05)
    assert msd[:, 2].max() < 1e-20


def test_a_shift_of_the_origin_changes_nothing():
    positions = walk(np.random.default_rng(2), 200, 10)
    moved = positions + np.array([1000.0, -1000.0, 5000.0])
    np.testing.assert_allclose(msd_fft(moved), msd_fft(positions), rtol=1e-9, atol=1e-12)
    # the equation as the study prints it, |r(t + t0)|^2 - |r(t0)|^2, is no displacement and moves with the origin
    misprint = ((moved[50:] ** 2) - (moved[:-50] ** 2)).mean(axis=(0, 1)).sum()
    right = ((positions[50:] ** 2) - (positions[:-50] ** 2)).mean(axis=(0, 1)).sum()
    assert abs(misprint - right) > 1


def breathing_cells(rng, n_frames, skew):
    cell = np.array([[20.0, 0, 0], [skew, 18.0, 0], [-skew, skew, 22.0]])
    strain = 0.01 * np.cumsum(rng.normal(scale=0.3, size=n_frames)) / np.sqrt(n_frames)
    return cell * (1 + strain)[:, None, None]


@pytest.mark.parametrize("skew", [0.0, 7.0])
def test_a_wrapped_path_in_a_constant_cell_is_recovered(skew):
    rng = np.random.default_rng(3)
    cell = np.array([[20.0, 0, 0], [skew, 18.0, 0], [-skew, skew, 22.0]])
    path = walk(rng, 300, 20, step=0.8) + rng.uniform(size=(20, 3)) @ cell
    fractional = path @ np.linalg.inv(cell)
    wrapped = (fractional - np.floor(fractional)) @ cell
    assert np.abs(wrapped - path).max() > 20  # it really crosses
    found = unwrap(wrapped, cell)
    np.testing.assert_allclose(found - found[0], path - path[0], atol=1e-9)
    np.testing.assert_array_equal(found[0], wrapped[0])


@pytest.mark.parametrize("skew", [0.0, 7.0])
def test_in_a_breathing_cell_the_diffusion_stays_and_the_breathing_does_not_add(skew):
    rng = np.random.default_rng(4)
    cells = breathing_cells(rng, 400, skew)
    steps = np.einsum("tni,tij->tnj", walk(rng, 400, 200, step=0.5), np.linalg.inv(cells[0])[None].repeat(400, 0))
    fractional = steps + rng.uniform(size=(200, 3))
    wrapped = np.einsum("tni,tij->tnj", fractional - np.floor(fractional), cells)
    msd = msd_fft(unwrap(wrapped, cells)).sum(axis=1)
    assert msd[20] / (20 * 3 * 0.5**2) == pytest.approx(1, abs=0.03)
    still = np.einsum("ni,tij->tnj", rng.uniform(size=(50, 3)), cells)
    assert msd_fft(unwrap(still, cells)).max() < 1e-18


def test_a_step_of_half_a_cell_is_refused_with_its_frame():
    positions = np.zeros((5, 2, 3))
    positions[3:, 1, 0] = 4.9
    with pytest.raises(InputError, match=r"frame 3: an atom moves by more than 0\.4 of a cell"):
        unwrap(positions, 10 * np.eye(3))


def test_drift_of_the_framework_is_removed_and_the_ions_keep_theirs():
    rng = np.random.default_rng(5)
    framework = np.array([True] * 10 + [False] * 6)
    own = np.zeros((100, 16, 3))
    own[:, ~framework] = walk(rng, 100, 6)
    drift = np.arange(100)[:, None, None] * np.array([0.1, -0.2, 0.3])
    found = remove_drift(own + drift, framework)
    np.testing.assert_allclose(found[:, ~framework], own[:, ~framework], atol=1e-12)
    np.testing.assert_allclose(found[:, framework], 0, atol=1e-12)
    ions = remove_drift((own + drift).astype(np.float32), framework, keep=~framework)
    np.testing.assert_allclose(ions, own[:, ~framework], atol=1e-5)


def test_without_a_framework_the_centre_of_all_atoms_stays():
    positions = walk(np.random.default_rng(6), 50, 8) + np.arange(50)[:, None, None]
    found = remove_drift(positions, np.zeros(8, dtype=bool))
    np.testing.assert_allclose(found.mean(axis=1), np.broadcast_to(positions[0].mean(axis=0), (50, 3)), atol=1e-12)


def test_vibration_around_a_site_reaches_a_plateau_of_six_variances():
    positions = np.random.default_rng(8).normal(scale=0.35, size=(2000, 100, 3)) + 40.0
    msd = msd_fft(positions).sum(axis=1)
    np.testing.assert_allclose(msd[1:1000], 6 * 0.35**2, rtol=0.02)
