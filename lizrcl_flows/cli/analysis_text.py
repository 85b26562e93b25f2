"""What `lizrcl analyse` says: its options, and its numbers as sentences."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from lizrcl_flows.cli.output import number

if TYPE_CHECKING:
    from lizrcl_flows.science.analysis.findings import Options

CM2_PER_S = 1e-4
"""One A^2/ps in cm^2/s."""


def options_of(given: Mapping[str, Any]) -> "Options":
    """Return the options of an analysis from those of the command line."""
    from lizrcl_flows.science.analysis.findings import Options, parse_axis

    axis = given["axis"]
    return Options(
        temperature_k=given["temperature"], charge=given["charge"], axis=None if axis is None else parse_axis(axis)
    )


def sentences(content: Mapping[str, Any]) -> Iterator[str]:
    """Yield the numbers of an analysis in words, one fact a line."""
    temperature = content["temperature_k"]
    place = f" at {temperature:g} K" if temperature else ""
    yield (
        f"{content['trajectory']}: {content['n_frames']} frames every {number(content['dt_ps'])} ps, "
        f"{content['n_atoms']} atoms, {content['n_ions']} {content['species']}{place}"
    )
    yield from (f"note: {note}" for note in content["notes"])
    yield ""
    yield from _diffusion(content)
    yield from _conductivity(content)
    yield from _hops(content["hops"])
    if content["structure"]:
        yield ""
        for kind, entry in content["structure"].items():
            yield f"{kind}: {_in_words(entry)}"


def _diffusion(content: Mapping[str, Any]) -> Iterator[str]:
    found = content["diffusion"]
    if found["D_A2_per_ps"] is None:
        yield f"D: {found['status'].replace('_', ' ')}: {found['reason']}"
    else:
        value, sigma = found["D_A2_per_ps"], found["sigma_A2_per_ps"]
        axes = ", ".join(number(part, 3) for part in found["per_axis"])
        per_s = f"{value * CM2_PER_S:.2e} cm^2/s"
        yield f"D = {number(value, 3)} +- {number(sigma, 2)} A^2/ps = {per_s}; along x, y, z: {axes}"
    paper = found["paper"]
    if paper["D_A2_per_ps"] is not None:
        yield (
            f"by the study's protocol: {number(paper['D_A2_per_ps'], 3)} A^2/ps, spread over correlated lags "
            f"{number(paper['sigma_A2_per_ps'], 2)} (no uncertainty of D)"
        )
    if content["haven"] is None:
        yield f"Haven ratio: none: {content['haven_reason']}"
    else:
        yield f"Haven ratio = {number(content['haven'], 3)} +- {number(content['haven_sigma'], 2)}"


def _conductivity(content: Mapping[str, Any]) -> Iterator[str]:
    names = {"nernst_einstein": "Nernst-Einstein", "collective": "with the Haven ratio"}
    for name, value in content["conductivity"].items():
        if value is not None:
            yield (
                f"conductivity, {names[name]}: {number(value['mS_per_cm'], 3)} mS/cm "
                f"({number(value['low'], 3)} to {number(value['high'], 3)})"
            )


def _hops(hops: Mapping[str, Any]) -> Iterator[str]:
    if hops.get("reason"):
        yield f"hops: {hops['reason']}"
        return
    yield (
        f"hops of an ion in a ns: {number(hops['counted_per_ion_ns'], 3)} counted by running median; the study's rule "
        f"counts {number(hops['paper_per_ion_ns'], 3)}, of which vibration alone makes "
        f"{number(hops['false_per_ion_ns'], 3)}"
    )


def _in_words(entry: Mapping[str, Any]) -> str:
    if entry.get("reason"):
        return str(entry["reason"])
    told = {key: value for key, value in entry.items() if value not in (None, "", [])}
    return "; ".join(f"{key} {_value(value)}" for key, value in told.items()) or "nothing found"


def _value(value: Any) -> str:
    if isinstance(value, float):
        return number(value, 4)
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_value(item)}" for key, item in value.items() if item not in (None, ""))
    if isinstance(value, list | tuple):
        return " ".join(_value(item) for item in value)
    return str(value)
