"""nep.in: what to train, and the text that means the same to every program that reads it."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from lizrcl_flows.errors import InputError
from lizrcl_flows.nep.files import write_text
from lizrcl_flows.nep.model import NepHeader, Zbl


@dataclass(frozen=True)
class NepIn:
    """Settings of a training; defaults are GPUMD's since version 5.3, all of them explicit here.

    Attributes
    ----------
    species
        Keyword ``type``: chemical symbols in the order of the types.
    version
        Version of the potential: 3 or 4.
    prediction
        1: evaluate train.xyz with ./nep.txt instead of training.
    cutoff
        Radial and angular cutoff (A) of every type, or one pair for all.
    n_max, basis_size
        Radial and angular; one less than the number of radial functions and of Chebyshev functions.
    l_max
        Largest angular momentum of the three-body descriptors.
    four_body, five_body
        Second and third value of ``l_max``: descriptors q222 and q1111.
    neuron
        Size of the hidden layer.
    lambda_1, lambda_2
        Weights of the L1 and L2 regularisation; None: ``sqrt(1e-6 * parameters / types)``.
    lambda_e, lambda_f, lambda_v
        Weights of the RMSE of energies (eV/atom), forces (eV/A) and virials (eV/atom).
    lambda_shear
        Factor of the errors of the xy, yz and zx virials.
    force_delta
        eV/A; where positive, the squared error of a force is multiplied by ``delta / (delta + |F|)``.
    type_weight
        Factor of the force errors of each type; empty: 1 each.
    batch
        Structures in a batch.
    full_batch
        Second value of ``batch``: the losses of all batches make one generation.
    population
        Size of the population of the evolution.
    generation
        Number of generations.
    zbl
        Outer radius (A) of the ZBL repulsion, or None.
    use_typewise_cutoff_zbl
        Factor of the typewise outer radius of the ZBL repulsion, or None.
    initial_para
        Coefficients with which the descriptor scales are determined.
    sigma0
        Initial spread of the evolution.
    output_descriptor
        With ``prediction 1``: 1 for one descriptor of each structure, 2 for those of all atoms.
    save_potential
        Interval, naming (0 by generation, 1 by time) and whether the restart file is saved too.
    output_interval
        Generations between lines of output.
    import_q_scaler
        1: take the descriptor scales from ./nep.txt.
    """

    species: tuple[str, ...]
    version: int = 4
    prediction: int = 0
    cutoff: tuple[tuple[float, float], ...] = ((8.0, 4.0),)
    n_max: tuple[int, int] = (6, 6)
    basis_size: tuple[int, int] = (6, 6)
    l_max: int = 4
    four_body: bool = True
    five_body: bool = False
    neuron: int = 30
    lambda_1: float | None = None
    lambda_2: float | None = None
    lambda_e: float = 1.0
    lambda_f: float = 1.0
    lambda_v: float = 0.1
    lambda_shear: float = 1.0
    force_delta: float = 0.0
    type_weight: tuple[float, ...] = ()
    batch: int = 1000
    full_batch: bool = False
    population: int = 50
    generation: int = 100_000
    zbl: float | None = None
    use_typewise_cutoff_zbl: float | None = None
    initial_para: float = 1.0
    sigma0: float = 0.1
    output_descriptor: int = 0
    save_potential: tuple[int, int, int] = (100_000, 1, 0)
    output_interval: int = 100
    import_q_scaler: int = 0

    def __post_init__(self) -> None:
        if len(self.cutoff) not in (1, len(self.species)):
            raise InputError(
                f"cutoff has {len(self.cutoff)} pairs of radii, but should have 1 or {len(self.species)}, one per type"
            )
        if self.type_weight and len(self.type_weight) != len(self.species):
            raise InputError(
                f"type_weight has {len(self.type_weight)} values; it should have {len(self.species)}, one for each type"
            )
        n_angular = (self.n_max[1] + 1) * (self.l_max + self.four_body + self.five_body)
        if n_angular > 90:
            raise InputError(f"n_max and l_max make {n_angular} angular descriptors; GPUMD takes at most 90")
        if self.zbl is not None and self.zbl > min(angular for _, angular in self.cutoff):
            raise InputError(f"zbl {self.zbl:g} should not be longer than the angular cutoff")
        self.header()

    def header(self) -> NepHeader:
        """Header of the potential that comes out."""
        zbl = None if self.zbl is None else Zbl(self.zbl / 2, self.zbl, self.use_typewise_cutoff_zbl)
        cutoffs = self.cutoff if len(self.cutoff) > 1 else self.cutoff * len(self.species)
        return NepHeader(
            self.version,
            self.species,
            cutoffs,
            self.n_max,
            self.basis_size,
            self.l_max,
            self.four_body,
            self.five_body,
            self.neuron,
            zbl,
        )

    def regularisation(self) -> tuple[float, float]:
        """``lambda_1`` and ``lambda_2`` as numbers."""
        automatic = (1e-6 * self.header().n_parameters / len(self.species)) ** 0.5
        first = automatic if self.lambda_1 is None else self.lambda_1
        return first, automatic if self.lambda_2 is None else self.lambda_2

    def weights_by_type(self) -> tuple[float, ...]:
        """``type_weight`` with its default filled in."""
        return self.type_weight or (1.0,) * len(self.species)


def format_nep_in(settings: NepIn) -> str:
    """Text of nep.in that means the same to every release of GPUMD since 4.0.

    Every hyper-parameter is written, whatever the defaults of the release that will read it. Keywords that only steer
    the output or are unknown to older releases are written where they differ from the defaults.
    """
    lambda_1, lambda_2 = settings.regularisation()
    values: list[tuple[str, tuple[Any, ...]]] = [
        ("type", (len(settings.species), *settings.species)),
        ("version", (settings.version,)),
        ("prediction", (settings.prediction,)),
        ("cutoff", tuple(radius for pair in settings.cutoff for radius in pair)),
        ("n_max", settings.n_max),
        ("basis_size", settings.basis_size),
        ("l_max", (settings.l_max, 2 * settings.four_body, int(settings.five_body))),
        ("neuron", (settings.neuron,)),
        ("lambda_1", (lambda_1,)),
        ("lambda_2", (lambda_2,)),
        ("lambda_e", (settings.lambda_e,)),
        ("lambda_f", (settings.lambda_f,)),
        ("lambda_v", (settings.lambda_v,)),
        ("lambda_shear", (settings.lambda_shear,)),
        ("force_delta", (settings.force_delta,)),
        ("type_weight", settings.weights_by_type()),
        ("batch", (settings.batch, 1) if settings.full_batch else (settings.batch,)),
        ("population", (settings.population,)),
        ("generation", (settings.generation,)),
    ]
    if settings.zbl is not None:
        values.append(("zbl", (settings.zbl,)))
    if settings.use_typewise_cutoff_zbl is not None:
        values.append(("use_typewise_cutoff_zbl", (settings.use_typewise_cutoff_zbl,)))
    values += _differing(settings)
    return "".join(f"{keyword} {' '.join(map(_format, words))}\n" for keyword, words in values)


def _differing(settings: NepIn) -> list[tuple[str, tuple[Any, ...]]]:
    names = ("initial_para", "sigma0", "output_descriptor", "save_potential", "output_interval", "import_q_scaler")
    defaults = {field.name: field.default for field in fields(settings)}
    given = [(name, getattr(settings, name)) for name in names if getattr(settings, name) != defaults[name]]
    return [(name, value if isinstance(value, tuple) else (value,)) for name, value in given]


def _format(value: Any) -> str:
    return f"{value:.10g}" if isinstance(value, float) else str(value)


def write_nep_in(path: str | Path, settings: NepIn) -> None:
    """Write nep.in; the file appears whole or not at all. See `format_nep_in`."""
    write_text(path, format_nep_in(settings))
