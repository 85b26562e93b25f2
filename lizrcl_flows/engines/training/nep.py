"""NEP training by ``nep``, GPUMD's own or ours, through their files."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from lizrcl_flows.documents import Errors, Label, Structure
from lizrcl_flows.documents.arrays import Array
from lizrcl_flows.documents.spec import TrainingSpec
from lizrcl_flows.engines.finished import finished_facts, inputs_sha256, mark_finished
from lizrcl_flows.engines.processes import (
    find_program,
    is_ours,
    last_words,
    replace_text,
    run_program,
    sole_use,
    version_in,
)
from lizrcl_flows.engines.serial import Engine
from lizrcl_flows.engines.training.base import DivergedError, TrainingRequest, TrainingResult
from lizrcl_flows.errors import EngineError, InputError
from lizrcl_flows.nep import (
    Committee,
    LabelledFrame,
    NepIn,
    read_loss,
    read_nep_txt,
    write_nep_in,
    write_restart,
    write_structures,
)
from lizrcl_flows.nep.nep_in import format_nep_in
from lizrcl_flows.nep.training_checkpoint import CHECKPOINT_NAME
from lizrcl_flows.settings import load_settings

OUR_PROGRAM = "lizrcl-nep"
RUN_FOLDER = "nep"
INPUT_FILES = ("nep.in", "train.xyz")
START_FILES = ("nep.txt", "nep.restart")
"""What a warm start needs: the descriptor scales, and the parameters with their spread."""

WARM_SPREAD = 0.01
"""Spread of GPUMD's search around the parameters that it starts from; ten times smaller than where it begins."""

BROKE_DOWN = "training broke down"
"""What lizrcl-nep says when its loss is not finite any more."""
STARTED_FILE = "started.sha256"
LAST_LINE = "Finished running nep"
VIRIAL_ROWS, VIRIAL_COLUMNS = [0, 1, 2, 0, 1, 2], [0, 1, 2, 1, 2, 0]
"""xx yy zz xy yz zx of a (3, 3) virial."""
OUTPUT_INTERVAL = 100
"""Steps between rows of loss.out, and GPUMD's default."""
_KEPT_FILES = ("nep.in", "loss.out", "stdout.txt")


@dataclass
class NepTrainer(Engine):
    """Train one NEP model with ``nep``.

    With less than 1000 steps nep.in says `output_interval`, so that loss.out has some rows. GPUMD knows that keyword
    from v5.6 on; earlier releases stop at it and need 1000 generations or more. Which release a command runs is not
    known before it has run.

    Parameters
    ----------
    command
        Program with its own arguments, such as ``srun -n 1 nep``; that of the worker's settings where none.
    cutoff_radial_a, cutoff_angular_a
        Cutoffs (A).
    n_max, basis_size, l_max, neurons
        Shape of descriptor and network as in nep.in.
    zbl_a
        Outer cutoff (A) of the ZBL repulsion; none leaves it out.
    lambda_e, lambda_f, lambda_v, lambda_1, lambda_2
        Weights of the terms of the loss.
    batch
        Structures of one step.
    steps
        ``generation`` of nep.in: steps of lizrcl-nep, generations of GPUMD's evolution.
    population
        Of GPUMD's evolution; lizrcl-nep has no use for it.
    """

    command: str | None = None
    cutoff_radial_a: float = 6.0
    cutoff_angular_a: float = 5.0
    n_max: tuple[int, int] = (8, 8)
    basis_size: tuple[int, int] = (12, 12)
    l_max: tuple[int, int, int] = (4, 2, 0)
    neurons: int = 50
    zbl_a: float | None = None
    lambda_e: float = 1.0
    lambda_f: float = 1.0
    lambda_v: float = 0.1
    lambda_1: float | None = None
    lambda_2: float | None = None
    batch: int = 1000
    steps: int = 100000
    population: int = 50

    @classmethod
    def from_spec(cls, spec: TrainingSpec, command: str | None = None) -> "NepTrainer":
        """Build the engine that a campaign file describes; committee size and bagging are the flow's."""
        content = spec.model_dump(exclude={"engine", "committee_size", "bagging", "warm_start", "max_attempts"})
        return cls(command=command, **content)

    def train(self, request: TrainingRequest, directory: Path) -> TrainingResult:
        """Train, find the same training finished in the directory, or continue ours where it was interrupted.

        Raises
        ------
        InputError
            If there is nothing to train on, or a structure has an element that the model does not have.
        DivergedError
            If the loss is not finite any more.
        EngineError
            If the program is missing, fails, or leaves a nep.txt that cannot be read.
        """
        frames = labelled_frames(request)
        argv = find_program(self.command or load_settings().resolved_nep_command(), "LIZRCL_NEP_COMMAND")
        ours = is_ours(argv, OUR_PROGRAM)
        if ours:
            argv = [*argv, "--seed", str(request.seed)]
        with sole_use(directory) as lock:
            digest = self._stage(frames, request, directory, seed=request.seed if ours else None)
            facts = finished_facts(directory, digest)
            if facts is None:
                facts = _run(argv, directory, digest, request.threads, lock)
        work = directory / RUN_FOLDER
        model = read_nep_txt(work / "nep.txt")
        return TrainingResult(
            nep_txt=work / "nep.txt",
            hyperparameters=self.hyperparameters(request.elements, warm=request.start is not None),
            n_parameters=model.header.n_parameters,
            loss_curve=_loss_table(work / "loss.out"),
            errors=training_errors(work / "nep.txt", frames),
            version=facts["version"],
            executable=facts["executable"],
            wall_s=facts["wall_s"],
            core_hours=facts["wall_s"] * request.threads / 3600,
            files=tuple(path for path in (work / name for name in _KEPT_FILES) if path.exists()),
            inputs_sha256=digest,
            seeded=ours,
        )

    def write_inputs(self, request: TrainingRequest, directory: Path, *, seeded: bool) -> str:
        """Write the input files of a training and return their SHA-256, as a member's provenance holds it.

        Parameters
        ----------
        directory
            Where; must not exist.
        seeded
            Whether the program was told the seed, as `lizrcl-nep` is.

        Raises
        ------
        InputError
            If there is nothing to train on, or a structure has an element that the model does not have.
        """
        seed = request.seed if seeded else None
        return self._write_inputs(labelled_frames(request), request, directory, seed=seed)

    def nep_in(self, elements: tuple[str, ...], *, warm: bool = False) -> NepIn:
        """Return nep.in for a list of elements, every hyper-parameter said.

        Parameters
        ----------
        warm
            Begin from the nep.txt and nep.restart beside it (GPUMD's nep: from v5.6 on).
        """
        return NepIn(
            species=tuple(elements),
            cutoff=((self.cutoff_radial_a, self.cutoff_angular_a),),
            n_max=self.n_max,
            basis_size=self.basis_size,
            l_max=self.l_max[0],
            four_body=bool(self.l_max[1]),
            five_body=bool(self.l_max[2]),
            neuron=self.neurons,
            lambda_1=self.lambda_1,
            lambda_2=self.lambda_2,
            lambda_e=self.lambda_e,
            lambda_f=self.lambda_f,
            lambda_v=self.lambda_v,
            batch=self.batch,
            population=self.population,
            generation=self.steps,
            zbl=self.zbl_a,
            # written only where it is not the default; see the docstring of the class
            output_interval=max(1, min(OUTPUT_INTERVAL, self.steps // 10)),
            import_q_scaler=int(warm),
        )

    def hyperparameters(self, elements: tuple[str, ...], *, warm: bool = False) -> dict[str, Any]:
        """Return nep.in keyword by keyword, as it is stored with the member."""
        lines = [line.split() for line in format_nep_in(self.nep_in(elements, warm=warm)).splitlines()]
        content: dict[str, Any] = {}
        for keyword, *words in lines:
            values = words[1:] if keyword == "type" else [_number(word) for word in words]
            content[keyword] = values if len(values) > 1 or keyword == "type" else values[0]
        return content

    def _write_inputs(
        self, frames: Sequence[LabelledFrame], request: TrainingRequest, directory: Path, seed: int | None
    ) -> str:
        directory.mkdir(parents=True)
        write_nep_in(directory / "nep.in", self.nep_in(request.elements, warm=request.start is not None))
        write_structures(directory / "train.xyz", frames)
        names: tuple[str, ...] = INPUT_FILES
        if request.start is not None:
            _write_start(directory, request.start)
            names = (*INPUT_FILES, *START_FILES)
        inputs = {name: (directory / name).read_bytes() for name in names}
        return inputs_sha256({**inputs, "seed": str(seed).encode()})

    def _stage(
        self, frames: Sequence[LabelledFrame], request: TrainingRequest, directory: Path, seed: int | None
    ) -> str:
        """Put the inputs in place, keeping what an interrupted run of the same inputs left; return their SHA-256."""
        staging, work = directory / "staging", directory / RUN_FOLDER
        shutil.rmtree(staging, ignore_errors=True)
        digest = self._write_inputs(frames, request, staging, seed=seed)
        ours_goes_on = seed is not None and (work / CHECKPOINT_NAME).exists() and _digest_of(directory) == digest
        if ours_goes_on or finished_facts(directory, digest) is not None:
            shutil.rmtree(staging)
        else:  # GPUMD's nep would go on as well, from nep.restart, but mix two runs in its files
            shutil.rmtree(work, ignore_errors=True)
            staging.rename(work)
            replace_text(directory / STARTED_FILE, digest)
        return digest


def _write_start(directory: Path, nep_txt: Path) -> None:
    """Put a member beside nep.in, with its parameters as the means of the search."""
    shutil.copyfile(nep_txt, directory / "nep.txt")
    parameters = read_nep_txt(nep_txt).parameters
    write_restart(directory / "nep.restart", parameters, np.full_like(parameters, WARM_SPREAD))


def training_errors(nep_txt: Path, frames: Sequence[LabelledFrame]) -> Errors:
    """Return the root-mean-square errors of a finished member on its training set.

    They are computed here: loss.out holds errors of single batches, and not of the member that was kept.

    Parameters
    ----------
    nep_txt
        The member.
    frames
        What it was trained on.

    Returns
    -------
    Errors
        Energy and virial (eV/atom; six components of the virial), force (eV/A, by component).
    """
    results = Committee.from_files([nep_txt]).evaluate(frames)
    energy, force, virial = [], [], []
    for frame, result in zip(frames, results, strict=True):
        n_atoms = len(frame.species)
        energy.append((result.energy[0] - frame.energy) / n_atoms)
        force.append((result.forces[0] - frame.forces).ravel())
        if frame.virial is not None:
            virial.append((result.virial[0][VIRIAL_ROWS, VIRIAL_COLUMNS] - frame.virial) / n_atoms)
    return Errors(
        energy=_rms(np.array(energy)),
        force=_rms(np.concatenate(force)),
        virial=_rms(np.array(virial)) if virial else None,
    )


def _rms(values: Array) -> float:
    return float(np.sqrt(np.mean(np.square(values))))


def labelled_frames(request: TrainingRequest) -> list[LabelledFrame]:
    """Return the training set as ``nep`` reads it: energies without their shift, virials from stresses.

    Raises
    ------
    InputError
        If there is nothing to train on, or a structure has an element that the model does not have.
    """
    if not request.pairs:
        raise InputError("there is no labelled structure to train on")
    return [_labelled_frame(structure, label, request) for structure, label in request.pairs]


def _labelled_frame(structure: Structure, label: Label, request: TrainingRequest) -> LabelledFrame:
    from ase.data import chemical_symbols

    if label.energy is None or label.forces is None:
        raise InputError(f"label {label.id} has no energy or no forces and cannot be trained on")
    species = tuple(chemical_symbols[number] for number in structure.numbers)
    unknown = sorted(set(species) - set(request.elements))
    if unknown:
        raise InputError(
            f"structure {structure.id} holds {', '.join(unknown)}, the model is for {', '.join(request.elements)}"
        )
    virial = None
    if label.stress is not None:
        virial = (-label.stress * abs(np.linalg.det(structure.cell)))[VIRIAL_ROWS, VIRIAL_COLUMNS]
    shift = sum(request.energy_shift.get(symbol, 0.0) for symbol in species)
    return LabelledFrame(species, structure.cell, structure.positions, label.energy - shift, label.forces, virial)


def _loss_table(path: Path) -> Array:
    """Return loss.out as one array, shape (n, 10)."""
    curve = read_loss(path)
    return np.column_stack([getattr(curve, field.name) for field in fields(curve)])


def _number(word: str) -> int | float:
    return int(word) if word.isdigit() else float(word)


def _digest_of(directory: Path) -> str:
    started = directory / STARTED_FILE
    return started.read_text(encoding="utf-8") if started.exists() else ""


def _run(argv: list[str], directory: Path, digest: str, threads: int, lock: int) -> dict[str, Any]:
    """Run the program and make sure that what it left is what it should be."""
    work = directory / RUN_FOLDER
    options = ["--threads", str(threads)] if is_ours(argv, OUR_PROGRAM) else []
    finished = run_program([*argv, *options], work, lock, threads=threads)
    said = (work / "stdout.txt").read_text(encoding="utf-8", errors="replace")
    if finished.status != 0:
        failure = DivergedError if BROKE_DOWN in last_words(work) else EngineError
        raise failure(f"training in {work} {finished.in_words()}: {last_words(work)}")
    if LAST_LINE not in said:
        raise EngineError(f"training in {work} ended but did not say '{LAST_LINE}': {last_words(work)}")
    try:
        read_nep_txt(work / "nep.txt")
        _loss_table(work / "loss.out")
    except InputError as error:
        raise EngineError(f"training in {work} left a file that cannot be used: {error}") from None
    facts = {"version": version_in(work), "executable": " ".join(argv), "wall_s": finished.wall_s}
    mark_finished(directory, digest, **facts)
    return facts
