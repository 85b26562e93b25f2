import numpy as np
import pytest

from lizrcl_flows.gpumd import Thermo
from lizrcl_flows.science.thermo import summarise
from lizrcl_flows.units import GPA_PER_EV_A3


def run(n_rows, *, total_slope=0.0, kinetic=None):
    rows = np.arange(n_rows)
    kinetic = 1.0 + 0.1 * (-1.0) ** rows if kinetic is None else kinetic
    return Thermo(
        temperature_k=np.where(rows < n_rows // 2, 9999.0, 300.0 + 10 * (-1.0) ** rows),
        kinetic_energy=kinetic,
        potential_energy=-50.0 - kinetic + total_slope * rows,
        pressure=np.tile(np.diag([1.0, 2.0, 3.0]), (n_rows, 1, 1)) / GPA_PER_EV_A3,
        cell=np.tile(np.diag([2.0, 3.0, 4.0]), (n_rows, 1, 1)),
        interval_fs=np.full(n_rows, 10.0),
    )


def test_means_are_of_the_second_half():
    summary = summarise(run(100), 10)
    assert summary.temperature_k == pytest.approx(300)
    assert summary.temperature_std_k == pytest.approx(10)
    assert summary.pressure_gpa == pytest.approx(2.0)
    assert summary.volume_a3 == pytest.approx(24)
    assert summary.potential_energy == pytest.approx(-51, abs=1e-9)


def test_drift_is_the_change_of_the_total_energy_per_atom_over_the_run():
    assert summarise(run(101, total_slope=0.002), 10).energy_drift == pytest.approx(0.02)
    assert summarise(run(101), 10).energy_drift == pytest.approx(0, abs=1e-12)


def test_a_run_that_blew_up_or_never_began_has_no_numbers():
    broken = summarise(run(10, kinetic=np.full(10, np.nan)), 10)
    assert broken.energy_drift is None
    assert broken.potential_energy is None
    assert broken.temperature_k is not None
    assert set(summarise(run(0), 10).model_dump().values()) == {None}
    assert summarise(run(1), 10).energy_drift is None
