"""Rough costs of every engine, for plans that have nothing computed to rest on. Orders of magnitude, no more.

Where they come from: GFN1-xTB, CP2K, CHGNet, SevenNet, our trainer and our dynamics were measured on one core of a
shared x86-64 machine (docs/labelling_engines.md has the table of labels); GPUMD's training is what its developers tell
in issue 303 (RTX 2070), scaled by four to a card for servers, its dynamics that of their pull requests 210 to 244; VASP
is experience.
"""

from lizrcl_flows.science.costs import CostPrior

LATENCY_ATOMS = 5000
"""A step of GPUMD on a GPU takes as long for fewer atoms as for so many: starting its kernels takes 0.5 ms."""

RELAXATION_STEPS = 150
"""Steps of a relaxation, until it was seen how many there are."""

_LABELS = {
    "vasp": CostPrior(size=100, cost=4.0, factor=3, exponent=2.5, exponent_sd=0.4),
    "cp2k": CostPrior(size=50, cost=0.13, factor=3, exponent=2.5, exponent_sd=0.4),
    "dft": CostPrior(size=30, cost=0.03, factor=4, exponent=2.5, exponent_sd=0.5),
    "tight_binding": CostPrior(size=50, cost=2.5e-3, factor=2, exponent=2.4, exponent_sd=0.3),
    "learned": CostPrior(size=50, cost=1.0e-3, factor=3, exponent=1.0, exponent_sd=0.4),
    "unknown": CostPrior(size=50, cost=1.0e-2, factor=10, exponent=2.0, exponent_sd=0.7),
}
"""Core hours of one label by atoms; each is computed in a process of its own, whose start is in it."""

_FAMILIES = {
    "learned": ("nep", "mace", "chgnet", "sevenn", "calorine", "matgl", "orb", "fairchem"),
    "tight_binding": ("tblite", "xtb", "dftb"),
    "dft": ("gpaw", "abinit", "espresso", "aims", "siesta", "octopus", "castep", "cp2k", "vasp"),
}
"""By the beginning of an ASE calculator's name, or of a module on the way to its class."""

_ATOM_STEPS_PER_S = {"nep": 9e3, "chgnet": 3.5e2, "sevennet": 1.3e2, "mace": 55.0, "tblite": 12.0}
"""Atoms times steps of one core and second with a foundation model."""

TRAINING_CPU = CostPrior(size=1e6, cost=0.018, factor=2, exponent=1.0, exponent_sd=0.05)
"""`lizrcl-nep`: core hours by environments times steps."""

TRAINING_GPU = CostPrior(size=1e9, cost=0.8, factor=3, exponent=1.0, exponent_sd=0.05)
"""GPUMD's nep: GPU hours by environments times generations, with a population of 50."""

DYNAMICS_CPU = CostPrior(size=1e6, cost=4e-3, factor=2, exponent=1.0, exponent_sd=0.05)
"""`lizrcl-gpumd`: core hours by atoms times steps."""

DYNAMICS_GPU = CostPrior(size=1e9, cost=0.028, factor=3, exponent=1.0, exponent_sd=0.05)
"""gpumd: GPU hours by atoms, `LATENCY_ATOMS` more than there are, times steps."""


def label_prior(engine: str, calculator: str = "") -> CostPrior:
    """Return what a label costs (core hours by atoms) with an engine of a campaign file.

    Parameters
    ----------
    engine, calculator
        As in the section `labelling`.
    """
    return _LABELS[engine if engine in _LABELS else _family(calculator)]


def sampling_prior(calculator: str) -> CostPrior:
    """Return what dynamics with a foundation model cost: core hours by atoms times steps."""
    rate, factor = _rate(calculator)
    return CostPrior(size=1e6, cost=1e6 / rate / 3600, factor=factor, exponent=1.0, exponent_sd=0.1)


def relaxation_prior(calculator: str) -> CostPrior:
    """Return what one relaxation with a foundation model costs: core hours by atoms."""
    rate, factor = _rate(calculator)
    return CostPrior(
        size=50, cost=50 * RELAXATION_STEPS / rate / 3600, factor=2 * factor, exponent=1.2, exponent_sd=0.3, scatter=0.7
    )


def dynamics_size(n_atoms: float, steps: float, *, on_gpu: bool) -> float:
    """Return the size of a run that its cost goes with."""
    return (n_atoms + LATENCY_ATOMS if on_gpu else n_atoms) * steps


def _rate(calculator: str) -> tuple[float, float]:
    """Return atoms times steps per second, and the factor within which that is believed."""
    if calculator in _ATOM_STEPS_PER_S:
        return _ATOM_STEPS_PER_S[calculator], 2.0
    return (100.0, 4.0) if _family(calculator) == "learned" else (20.0, 8.0)


def _family(calculator: str) -> str:
    words = calculator.lower().replace(":", ".").split(".")
    for family, names in _FAMILIES.items():
        if any(word.startswith(names) for word in words):
            return family
    return "unknown"
