"""What speaks against using a finished run of molecular dynamics as it stands, in sentences."""

from collections.abc import Iterator

from lizrcl_flows.documents import ThermoSummary

SIGNIFICANT = 4.5
"""Standard errors beyond which a deviation is no chance: 0.2 % of Student's t with the 8 or 9 degrees of freedom of ten
blocks lie beyond."""

TEMPERATURE_SHARE = 0.01
"""Part of the target temperature by which the mean may be off in any case."""

DRIFT_EV_PER_ATOM = 1e-3
"""Change of the total energy over the run that is allowed in any case."""

VOLUME_CHANGE = 0.01
"""Relative change of the volume from the first fifth of the run to the last that is allowed."""


def run_warnings(thermo: ThermoSummary, temperature_k: float, length_ns: float, *, fault: str = "") -> tuple[str, ...]:
    """Return what a run should be distrusted for, a sentence each.

    Parameters
    ----------
    thermo
        Of the sampled part of the run.
    temperature_k
        Target of the thermostat (K).
    length_ns
        Length of the sampled part (ns).
    fault
        What is wrong with the frames, in words.
    """
    told = [fault] if fault else []
    if thermo.n_not_finite:
        told.append(f"{thermo.n_not_finite} rows of thermo.out hold values that are no finite numbers")
    return (*told, *_of_temperature(thermo, temperature_k), *_of_drift(thermo, length_ns), *_of_volume(thermo))


def _of_temperature(thermo: ThermoSummary, target_k: float) -> Iterator[str]:
    mean, error = thermo.temperature_k, thermo.temperature_error_k
    if mean is None or error is None:
        return
    if abs(mean - target_k) > max(SIGNIFICANT * error, TEMPERATURE_SHARE * target_k):
        yield f"the mean temperature is {mean:.1f} +- {error:.1f} K, the thermostat was set to {target_k:g} K"


def _of_drift(thermo: ThermoSummary, length_ns: float) -> Iterator[str]:
    drift, error = thermo.energy_drift_per_ns, thermo.energy_drift_error_per_ns
    if drift is None or error is None:
        return
    if abs(drift) > SIGNIFICANT * error and abs(drift) * length_ns > DRIFT_EV_PER_ATOM:
        yield (
            f"the total energy drifts by {drift:+.2g} +- {error:.1g} eV/atom/ns, {drift * length_ns * 1000:+.1f} "
            "meV/atom over the run: it is not in equilibrium"
        )


def _of_volume(thermo: ThermoSummary) -> Iterator[str]:
    if thermo.volume_change is not None and abs(thermo.volume_change) > VOLUME_CHANGE:
        yield f"the volume changes by {100 * thermo.volume_change:+.1f} % from the first fifth of the run to the last"
