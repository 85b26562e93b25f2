"""Transport coefficients in words: the number with its uncertainty, or why there is none."""

from typing import TYPE_CHECKING

from lizrcl_flows.science.wording import number

if TYPE_CHECKING:
    from lizrcl_flows.documents import Transport

CM2_PER_S = 1e-4
"""One A^2/ps in cm^2/s."""

SPREAD_OF_SAMPLING = "the uncertainty is that of sampling, the potential's error comes on top"
MEANING_OF_SPREAD = {"paper": "+- is the study's spread over correlated lags, not an uncertainty"}
"""What the number behind +- is, where a protocol means something else by it."""


def coefficient_sentence(transport: "Transport") -> str:
    """Return a coefficient with its uncertainty, or the reason why there is none, as one sentence."""
    place = f"{transport.species} in {transport.phase or 'the cell'}"
    if transport.kind == "arrhenius" and transport.activation_energy is not None:
        return f"{place}: {_law(transport)}"
    place += f" at {transport.temperature_k:g} K"
    if transport.kind == "conductivity" and transport.conductivity is not None:
        return f"{place}: {_conductivity(transport)}"
    by = f"({transport.protocol}, {transport.n_ions} ions, {transport.n_frames} frames)"
    if transport.diffusivity is None or transport.status != "resolved":
        status = transport.status.replace("_", " ")
        return f"{place}: {status}: {transport.reason or 'no reason was given'} {by}"
    value, spread = transport.diffusivity, transport.diffusivity_std
    error = " (this protocol gives no uncertainty)" if spread is None else f" +- {number(spread, 2)}"
    sentence = f"{place}: D = {number(value, 3)}{error} A^2/ps = {value * CM2_PER_S:.2e} cm^2/s {by}"
    if spread is not None:
        sentence += f"; {MEANING_OF_SPREAD.get(transport.protocol, SPREAD_OF_SAMPLING)}"
    if transport.frames_over_eps_lo:
        sentence += f"; {transport.frames_over_eps_lo:.0%} of the frames checked are outside the trained domain"
    return sentence


def _law(transport: "Transport") -> str:
    """Return an Arrhenius law in words."""
    spread = transport.activation_energy_std
    error = "" if spread is None else f" +- {number(spread, 2)}"
    between = f"{min(transport.temperatures_k, default=0):g} to {max(transport.temperatures_k, default=0):g} K"
    sentence = (
        f"Ea = {number(transport.activation_energy, 3)}{error} eV over {len(transport.temperatures_k)} temperatures, "
        f"{between} ({transport.protocol})"
    )
    if transport.diffusivity is not None:
        sentence += f"; D = {transport.diffusivity * CM2_PER_S:.2e} cm^2/s at {transport.temperature_k:g} K"
    return sentence + ("; the points do not lie on one line" if transport.non_arrhenius else "")


def _conductivity(transport: "Transport") -> str:
    value, low, high = transport.conductivity, transport.conductivity_low, transport.conductivity_high
    between = "" if low is None or high is None else f" ({number(low, 3)} to {number(high, 3)})"
    return f"conductivity {number(value, 3)} mS/cm{between} by {transport.protocol.replace('_', ' ')}"
