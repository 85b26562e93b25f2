"""Training: loss with gradient in atoms per second, against torchnep and neppo, one thread, one run.

Architecture of the study: cutoffs 6 and 5 A, n_max 8 8, basis_size 12 12, l_max 4 2 0, 50 neurons, types Li Zr Cl O;
structures are rattled Li2ZrCl6 (P-31c) with labels of a random smooth potential, virials included. The references are
programs in another environment (they need PyTorch; torchnep is under the GPL and no dependency of ours):

    python -m venv ref && ref/bin/pip install torch torchnep==1.0.7 neppo==1.0
    OMP_NUM_THREADS=1 python benchmarks/nep_training.py --reference-python ref/bin/python

Each reference trains twice with different numbers of epochs in single precision with its own optimiser; the difference
of the CPU times is the time of an epoch. Ours is measured in the same way, through the program, and by its parts: the
kernel alone, with two threads, and on 1,000 structures with the memory of the process. Without --reference-python only
our own numbers are printed.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from lizrcl_flows.nep import Committee, Frame, LabelledFrame, NepHeader, NepModel, write_structures

SPECIES = ("Li", "Zr", "Cl", "O")
ARCHITECTURE = "type 4 Li Zr Cl O\ncutoff 6 5\nn_max 8 8\nbasis_size 12 12\nl_max 4 2 0\nneuron 50\n"
HEADER = NepHeader(4, SPECIES, ((6.0, 5.0),) * 4, (8, 8), (12, 12), 4, True, False, 50)
TEACHER = NepHeader(4, SPECIES, ((6.0, 4.5),) * 4, (3, 3), (5, 5), 4, True, False, 10)


def lithium_zirconium_chloride(repeats):
    """Symbols, cell (A) and positions (A) of P-31c Li2ZrCl6, 18 atoms in a cell."""
    from ase.spacegroup import crystal

    atoms = crystal(
        ["Zr", "Li", "Li", "Cl"],
        [(1 / 3, 2 / 3, 0.25), (0, 0, 0.25), (1 / 3, 2 / 3, 0.75), (0.0153, 0.3486, 0.1277)],
        spacegroup=163,
        cellpar=[6.29, 6.29, 11.85, 90, 90, 120],
    ).repeat(repeats)
    return tuple(atoms.get_chemical_symbols()), atoms.cell.array, atoms.positions


def make_frames(count, repeats, seed=0):
    """Rattled and strained cells, labelled by a random potential of lesser size."""
    generator = np.random.default_rng(seed)
    teacher_numbers = np.random.default_rng(99)
    parameters = teacher_numbers.normal(0, 0.5, TEACHER.n_parameters)
    teacher = Committee([NepModel(TEACHER, parameters, np.full(TEACHER.n_descriptors, 0.1), (200, 100))])
    species, cell, positions = lithium_zirconium_chloride(repeats)
    frames = []
    for _ in range(count):
        strain = np.eye(3) + generator.normal(0, 0.01, (3, 3))
        moved = (positions + generator.normal(0, 0.1, positions.shape)) @ strain
        frames.append(Frame(species, cell @ strain, moved))
    results = teacher.evaluate(frames)
    rows, columns = [0, 1, 2, 0, 1, 2], [0, 1, 2, 1, 2, 0]
    return [
        LabelledFrame(f.species, f.cell, f.positions, float(r.energy[0]), r.forces[0], r.virial[0][rows, columns])
        for f, r in zip(frames, results, strict=True)
    ]


def child_seconds(command, directory):
    """CPU time (s) of a program that runs with one thread."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command[:3])} failed:\n{done.stdout[-1000:]}{done.stderr[-2000:]}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def epoch_seconds(command, settings, frames, few, many):
    """CPU time (s) of an epoch from two runs; `settings` makes nep.in from a number of epochs."""
    times = []
    for epochs in (few, many):
        with tempfile.TemporaryDirectory() as name:
            directory = Path(name)
            (directory / "nep.in").write_text(ARCHITECTURE + settings(epochs))
            write_structures(directory / "train.xyz", frames)
            times.append(child_seconds(command, directory))
    return (times[1] - times[0]) / (many - few)


def ours(frames, batch, few, many):
    steps = len(frames) // batch
    command = [sys.executable, "-c", "import sys; from lizrcl_flows.nep.program import main; sys.exit(main([]))"]
    return epoch_seconds(
        command,
        lambda n: f"batch {batch}\ngeneration {n * steps}\noutput_interval 1000000\nlambda_1 0\nlambda_2 0\n",
        frames,
        few,
        many,
    )


def torchnep(python, frames, batch, few, many):
    script = (
        "import torch; torch.set_num_threads(1)\nfrom torchnep import train_nep\n"
        "train_nep('nep.in', 'train.xyz', output_dir='out', device='cpu', print_interval=10**6,"
        " checkpoint_interval=10**6, prediction_interval=0, run_seed=1)"
    )
    return epoch_seconds([python, "-c", script], lambda n: f"batch {batch}\nepoch {n}\n", frames, few, many)


def neppo(python, frames, batch, few, many):
    script = (
        "import torch; torch.set_num_threads(1)\nimport sys\nfrom neppo.cli import main\n"
        "main(['train', '.', '--device', 'cpu'])"
    )
    steps = len(frames) // batch
    return epoch_seconds(
        [python, "-c", script],
        lambda n: f"batch {batch}\ngeneration {n * steps}\noutput_interval 1000000\n",
        frames,
        few,
        many,
    )


def load(frames, threads=1):
    from lizrcl_flows.nep.training_data import ErrorWeights, TrainingData, fit_references

    data = TrainingData(HEADER, ErrorWeights((1.0,) * 4), threads)
    references = fit_references(frames, SPECIES)
    for frame in frames:
        data.add(frame, references, None)
    return data


def kernel_seconds(data, batch, *, wall=False, double_precision=False, repeats=7):
    """Time (s) of loss and gradient over all structures: the least of several passes."""
    generator = np.random.default_rng(0)
    parameters, scale = generator.normal(0, 0.3, HEADER.n_parameters), np.full(HEADER.n_descriptors, 0.1)
    clock = time.perf_counter if wall else time.process_time
    everything, best = data.everything(), np.inf
    for _ in range(repeats):
        begin = clock()
        for first in range(0, len(everything), batch):
            chosen = everything[first : first + batch]
            data.evaluate(parameters, scale, chosen, np.ones(3), double_precision=double_precision)
        best = min(best, clock() - begin)
    return best


def compare(python, frames, batch):
    atoms = sum(len(f.species) for f in frames)
    print(f"\n{len(frames)} structures of {len(frames[0].species)} atoms, batches of {batch}; CPU time, one thread")
    kernel = kernel_seconds(load(frames), batch)
    program = ours(frames, batch, 2, 22)
    print(f"  lizrcl-nep, loss with gradient   {atoms / kernel:10,.0f} atoms/s")
    print(f"  lizrcl-nep, whole step           {atoms / program:10,.0f} atoms/s")
    if python is None:
        return
    for name, run, few, many in (("torchnep", torchnep, 2, 8), ("neppo", neppo, 2, 6)):
        seconds = run(python, frames, batch, few, many)
        print(
            f"  {name:<9} whole step             {atoms / seconds:10,.0f} atoms/s: "
            f"lizrcl-nep is {seconds / kernel:.1f} times as fast by its kernel, {seconds / program:.1f} by whole steps"
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reference-python", default=os.environ.get("LIZRCL_REFERENCE_PYTHON"))
    python = parser.parse_args().reference_python
    frames = make_frames(40, (2, 2, 1))
    compare(python, frames, 10)

    atoms = sum(len(f.species) for f in frames)
    single, double = (kernel_seconds(load(frames), 40, double_precision=flag) for flag in (False, True))
    print(
        f"\ndouble precision: {atoms / double:,.0f} atoms/s, {double / single:.2f} times the time of single precision"
    )
    one, two = (kernel_seconds(load(frames, threads), 40, wall=True) for threads in (1, 2))
    print(f"two threads: {one / two:.2f} times as fast as one (wall time; needs two idle cores)")

    large = make_frames(100, (2, 3, 1))
    large = [replace(f, energy=f.energy + 0.001 * i) for i in range(10) for f in large][:1000]
    begin = time.process_time()
    data = load(large)
    setup = time.process_time() - begin
    seconds = kernel_seconds(data, 50, repeats=1)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(
        f"{len(large)} structures of {len(large[0].species)} atoms: {seconds:.2f} s an epoch, {setup:.1f} s to set up, "
        f"{memory:.2f} GiB at most"
    )


if __name__ == "__main__":
    main()
