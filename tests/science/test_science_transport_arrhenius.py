import numpy as np
import pytest

from lizrcl_flows.errors import InputError
from lizrcl_flows.science.transport.arrhenius import arrhenius
from lizrcl_flows.science.transport.conductivity import conductivity

K_EV = 8.617333262e-5
KELVIN = np.array([450.0, 500, 550, 600, 650, 700])
RELATIVE = np.array([0.10, 0.06, 0.04, 0.03, 0.02, 0.02])
ENERGY = 0.29


def law(kelvin, energy=ENERGY, ln_d0=1.5):
    return np.exp(ln_d0 - energy / (K_EV * np.asarray(kelvin)))


@pytest.mark.parametrize("n", [2, 3, 6])
def test_points_on_a_line_give_the_line(n):
    values = law(KELVIN[:n])
    fit = arrhenius(KELVIN[:n], values, values * RELATIVE[:n])
    assert fit.activation_energy_ev == pytest.approx(ENERGY, abs=1e-12)
    assert fit.ln_d0 == pytest.approx(1.5, abs=1e-10)
    assert fit.diffusivity_at == pytest.approx(law(300.0), rel=1e-9)
    assert (fit.n, fit.at_k, fit.non_arrhenius, fit.inflated) == (n, 300.0, False, False)
    assert fit.chi2_per_dof is None if n == 2 else fit.chi2_per_dof == pytest.approx(0, abs=1e-12)


def test_the_error_of_two_points_is_that_of_their_difference():
    values = law([400.0, 600.0])
    fit = arrhenius([400.0, 600.0], values, values * [0.03, 0.04])
    lever = 1 / (K_EV * 400) - 1 / (K_EV * 600)
    assert fit.activation_energy_std_ev == pytest.approx(0.05 / lever)


@pytest.fixture(scope="module")
def many():
    rng = np.random.default_rng(0)
    true = law(KELVIN)
    return [arrhenius(KELVIN, true * np.exp(rng.normal(scale=RELATIVE)), true * RELATIVE) for _ in range(800)]


def test_the_interval_of_the_activation_energy_covers_the_truth_at_its_rate(many):
    energies = np.array([fit.activation_energy_ev for fit in many])
    stds = np.array([fit.activation_energy_std_ev for fit in many])
    assert energies.std() == pytest.approx(0.0062, abs=0.0004)
    assert stds.mean() / energies.std() == pytest.approx(1, abs=0.1)
    assert 0.64 < (abs(energies - ENERGY) < stds).mean() < 0.75


def test_the_interval_of_the_extrapolation_covers_the_truth_at_its_rate(many):
    true = law(300.0)
    inside = [fit.low < true < fit.high for fit in many]
    assert 0.64 < np.mean(inside) < 0.75
    logs = np.log([fit.diffusivity_at for fit in many])
    assert logs.std() == pytest.approx(0.126, abs=0.01)


def test_an_ordinary_fit_that_ignores_the_errors_covers_less():
    rng = np.random.default_rng(1)
    inside = []
    for _ in range(400):
        y = np.log(law(KELVIN)) + rng.normal(scale=RELATIVE)
        line, covariance = np.polyfit(-1 / (K_EV * KELVIN), y, 1, cov=True)
        inside.append(abs(line[0] - ENERGY) < np.sqrt(covariance[0, 0]))
    assert np.mean(inside) < 0.55


def test_points_on_one_line_are_seldom_called_otherwise(many):
    assert np.mean([fit.non_arrhenius for fit in many]) < 0.03


def test_a_change_of_mechanism_is_flagged_and_widens_the_interval():
    values = np.where(KELVIN < 560, law(KELVIN, 0.45, 1.5 + 0.16 / (K_EV * 560)), law(KELVIN))
    fit = arrhenius(KELVIN, values, values * RELATIVE)
    assert fit.non_arrhenius
    assert fit.inflated
    assert fit.chi2_per_dof > 3
    plain = arrhenius(KELVIN, law(KELVIN), law(KELVIN) * RELATIVE)
    ratio = fit.activation_energy_std_ev / plain.activation_energy_std_ev
    assert ratio == pytest.approx(np.sqrt(fit.chi2_per_dof))


def test_the_spread_of_the_committee_adds_in_quadrature():
    values = law(KELVIN)
    with_spread = arrhenius(KELVIN, values, values * 0.03, committee_spread=np.full(6, 0.04))
    together = arrhenius(KELVIN, values, values * 0.05)
    assert with_spread.activation_energy_std_ev == pytest.approx(together.activation_energy_std_ev)
    assert arrhenius(KELVIN, values, values * 0.03, committee_spread=0.04) == with_spread


def test_the_covariance_gives_the_same_prediction_anywhere():
    values = law(KELVIN)
    fit = arrhenius(KELVIN, values, values * RELATIVE, at_k=350.0)
    found, ln_std = fit.predict([350.0, 900.0])
    assert found[0] == pytest.approx(fit.diffusivity_at)
    assert np.exp(ln_std[0]) == pytest.approx(fit.high / fit.diffusivity_at)
    assert found[1] == pytest.approx(law(900.0))


def test_the_interval_goes_into_the_conductivity():
    values = law(KELVIN)
    fit = arrhenius(KELVIN, values, values * RELATIVE)
    found = conductivity(fit.diffusivity_at, fit.std_at, 6, 618.0, 300.0)
    assert found.high / found.ms_per_cm == pytest.approx(fit.high / fit.diffusivity_at)


@pytest.mark.parametrize(
    ("kelvin", "values", "stds", "message"),
    [
        ([], [], [], "at two temperatures at least, there are none"),
        ([500.0], [0.1], [0.01], "at two temperatures at least, all 1 are at 500 K"),
        ([500.0, 500.0], [0.1, 0.2], [0.01, 0.01], "all 2 are at 500 K"),
        ([500.0, 600.0], [0.1], [0.01], "2 temperatures, 1 coefficients and 1 uncertainties"),
        ([500.0, 600.0], [0.1, -0.1], [0.01, 0.01], r"diffusion coefficient -0\.1 A\^2/ps is not accepted"),
        ([500.0, 600.0], [0.1, 0.1], [0.01, 0.0], r"standard uncertainty 0 A\^2/ps is not accepted"),
        ([500.0, 0.0], [0.1, 0.1], [0.01, 0.01], "temperature 0 K is not accepted"),
    ],
)
def test_what_gives_no_law_is_said_in_a_sentence(kelvin, values, stds, message):
    with pytest.raises(InputError, match=message):
        arrhenius(kelvin, values, stds)
