"""What a run is distrusted for: planted drifts are found, plain fluctuation is not."""

import re

import numpy as np
import pytest

from lizrcl_flows.documents import ThermoSummary
from lizrcl_flows.gpumd import Thermo
from lizrcl_flows.science.run_health import run_warnings
from lizrcl_flows.science.thermo import summarise

N_ATOMS, ROWS, INTERVAL_FS = 100, 2000, 1000.0
LENGTH_NS = ROWS * INTERVAL_FS * 1e-6


def summary(seed=0, *, mean_k=500.0, drift=0.0, swelling=0.0, broken=0):
    """Two ns of 100 atoms: correlated noise as of a thermostat, with a drift (eV/atom/ns) and a swelling planted."""
    rng = np.random.default_rng(seed)
    noise = np.convolve(rng.normal(size=ROWS + 19), np.ones(20) / np.sqrt(20), mode="valid")
    time_ns = np.arange(ROWS) * INTERVAL_FS * 1e-6
    length = 10.0 * (1 + swelling * time_ns / LENGTH_NS) ** (1 / 3)
    kinetic = 6.5 + 0.1 * noise
    kinetic[:broken] = np.nan
    return summarise(
        Thermo(
            temperature_k=mean_k + 10.0 * noise,
            kinetic_energy=kinetic,
            potential_energy=-400.0 + N_ATOMS * drift * time_ns,
            pressure=np.zeros((ROWS, 3, 3)),
            cell=np.eye(3) * length[:, None, None],
            interval_fs=np.full(ROWS, np.nan),
        ),
        N_ATOMS,
        INTERVAL_FS,
    )


def test_a_run_that_only_fluctuates_is_hardly_ever_warned_of():
    warned = [bool(run_warnings(summary(seed), 500.0, LENGTH_NS)) for seed in range(300)]
    assert sum(warned) <= 3


def test_errors_from_blocks_cover_mean_and_drift():
    """Student's t of nine and eight degrees of freedom: 95 % lie within 2.26 and 2.31 errors."""
    found = [summary(seed, drift=0.004) for seed in range(300)]
    means = [abs(one.temperature_k - 500.0) < 2.26 * one.temperature_error_k for one in found]
    drifts = [abs(one.energy_drift_per_ns - 0.004) < 2.31 * one.energy_drift_error_per_ns for one in found]
    assert 0.90 < np.mean(means) < 0.98
    assert 0.90 < np.mean(drifts) < 0.98


@pytest.mark.parametrize(
    ("planted", "words"),
    [
        ({"mean_k": 512.0}, r"the mean temperature is 51\d.\d \+- \d.\d K, the thermostat was set to 500 K"),
        ({"drift": -0.004}, r"drifts by -0.00\d\d \+- .* eV/atom/ns, -\d.\d meV/atom over the run"),
        ({"swelling": 0.03}, r"the volume changes by \+2.4 % from the first fifth"),
        ({"broken": 3}, r"3 rows of thermo.out hold values that are no finite numbers"),
    ],
)
def test_what_is_planted_is_told(planted, words):
    told = run_warnings(summary(**planted), 500.0, LENGTH_NS)
    assert len(told) == 1
    assert re.search(words, told[0]), told


def test_a_run_that_left_nothing_has_no_warnings_but_those_of_its_frames():
    assert run_warnings(ThermoSummary(), 300.0, 1.0) == ()
    assert run_warnings(ThermoSummary(), 300.0, 1.0, fault="piece 2: 1 of 5 frames") == ("piece 2: 1 of 5 frames",)
