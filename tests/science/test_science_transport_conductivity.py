import numpy as np
import pytest

from lizrcl_flows.errors import InputError
from lizrcl_flows.science.transport.conductivity import conductivity

CM2_PER_S = 1e4
"""In A^2/ps."""


def test_the_unit_is_the_one_that_experiments_quote():
    # 6 Li in 618 A^3: a coefficient near the study's for alpha Li2ZrCl6 at 300 K, whose conductivity is 0.803 mS/cm
    found = conductivity(1.34e-8 * CM2_PER_S, 0.0, 6, 618.0, 300.0)
    assert found.ms_per_cm == pytest.approx(0.806, abs=0.0006)
    assert found.low == found.high == found.ms_per_cm
    in_si = (6 / 618e-30) * (1.602176634e-19) ** 2 * 1.34e-12 / (1.380649e-23 * 300)
    assert found.ms_per_cm == pytest.approx(10 * in_si, rel=1e-8)


def test_a_haven_ratio_below_one_raises_it_and_charge_counts_twice():
    plain = conductivity(0.02, 0.001, 48, 5000.0, 600.0)
    assert conductivity(0.02, 0.001, 48, 5000.0, 600.0, haven=0.5).ms_per_cm == pytest.approx(2 * plain.ms_per_cm)
    assert conductivity(0.02, 0.001, 48, 5000.0, 600.0, charge=-2).ms_per_cm == pytest.approx(4 * plain.ms_per_cm)


def test_the_interval_is_symmetric_in_the_logarithm():
    found = conductivity(0.02, 0.006, 48, 5000.0, 600.0, haven=0.8, haven_std=0.32)
    assert found.ln_std == pytest.approx(np.hypot(0.3, 0.4))
    assert np.log(found.high / found.ms_per_cm) == pytest.approx(0.5)
    assert np.log(found.ms_per_cm / found.low) == pytest.approx(0.5)
    # an extrapolation that is uncertain by a factor of e stays positive
    assert conductivity(0.02, 0.02, 48, 5000.0, 600.0).low > 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"diffusivity": 0.0}, "diffusivity: 0 is not accepted"),
        ({"temperature_k": -300.0}, "temperature_k: -300 is not accepted"),
        ({"volume_a3": float("nan")}, "volume_a3: nan is not accepted"),
        ({"n_ions": 0}, "n_ions: 0 is not accepted"),
        ({"haven": 0.0}, "haven: 0 is not accepted"),
        ({"std": -1.0}, "-1 A\\^2/ps is no standard uncertainty"),
    ],
)
def test_what_must_be_positive_is_checked(change, message):
    right = {"diffusivity": 0.02, "std": 0.001, "n_ions": 6, "volume_a3": 600.0, "temperature_k": 300.0}
    with pytest.raises(InputError, match=message):
        conductivity(**{**right, **change})
