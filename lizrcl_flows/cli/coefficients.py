"""Transport coefficients in words: the number with its uncertainty, or why there is none."""

from typing import TYPE_CHECKING

from lizrcl_flows.cli.output import number

if TYPE_CHECKING:
    from lizrcl_flows.archive import Archive
    from lizrcl_flows.documents import Campaign, Transport

CM2_PER_S = 1e-4
"""One A^2/ps in cm^2/s."""

MAIN_PROTOCOL = "gls_blocks"

SPREAD_OF_SAMPLING = "the uncertainty is that of sampling, the potential's error comes on top"
MEANING_OF_SPREAD = {"paper": "+- is the study's spread over correlated lags, not an uncertainty"}
"""What the number behind +- is, where a protocol means something else by it."""


def campaign_transports(archive: "Archive", campaign: "Campaign") -> "list[Transport]":
    """Return the coefficients of a campaign: those of our estimator first, then those of the study's protocol."""
    from lizrcl_flows.documents import Trajectory, Transport

    runs = archive.find_records(Trajectory, {"campaign": campaign.name, "purpose": "production"}, fields=["_id"])
    names = [record["_id"] for record in runs]
    found = archive.find(Transport, {"trajectories": {"$in": names}})
    return sorted(found, key=lambda transport: (transport.protocol != MAIN_PROTOCOL, transport.id))


def coefficient_sentence(transport: "Transport") -> str:
    """Return a coefficient with its uncertainty, or the reason why there is none, as one sentence."""
    place = f"{transport.species} in {transport.phase or 'the cell'} at {transport.temperature_k:g} K"
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
