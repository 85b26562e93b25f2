"""Molecular dynamics at 108 atoms: steps per second of ``lizrcl-gpumd`` against ASE + calorine CPUNEP + Bussi.

Li2ZrCl6 (P-31c, 3 x 2 x 1 cells), 300 K, 1 fs, one thread, a random model of the architecture of the study (cutoffs 6
and 5 A, n_max 8 8, basis_size 12 12, l_max 4 2 0, 50 neurons, four elements). Times are CPU times; both sides take
turns in one run, and the ratio is that of their medians. Run it with OMP_NUM_THREADS=1.
"""

import contextlib
import io
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np

from lizrcl_flows.gpumd import ModelXyz, make_plan, parse_run_in, write_model_xyz
from lizrcl_flows.gpumd.potentials import NepPotentials
from lizrcl_flows.gpumd.simulation import Options, simulate

ELEMENTS = ("Li", "Zr", "Cl", "O")
TURNS = 5
STEPS_OURS = 1000
STEPS_REFERENCE = 40


def random_nep(seed: int) -> str:
    """Text of a random model of the study's architecture, with gentle forces."""
    rng = np.random.default_rng(seed)
    types, n_max, basis, neurons = len(ELEMENTS), 8, 12, 50
    dimension = (n_max + 1) * 6
    numbers = []
    for _ in ELEMENTS:
        numbers += [
            rng.normal(size=neurons * dimension) * 0.2,
            rng.normal(size=neurons),
            rng.normal(size=neurons) * 0.01,
        ]
    numbers += [np.zeros(1), *(rng.normal(size=(n_max + 1) * (basis + 1) * types**2) * 0.2 for _ in range(2))]
    numbers += [np.ones(dimension)]
    header = (
        f"nep4_zbl {types} {' '.join(ELEMENTS)}\nzbl 0.6 1.2\ncutoff 6 5 200 200\nn_max {n_max} {n_max}\n"
        f"basis_size {basis} {basis}\nl_max 4 2 0\nANN {neurons} 0\n"
    )
    return header + "".join(f"{value:15.7e}\n" for value in np.concatenate(numbers))


def chloride(repeats: tuple[int, int, int]) -> ModelXyz:
    """Li2ZrCl6 in P-31c, rattled by 0.02 A."""
    a, c, x, y, z = 6.29, 11.85, 0.0153, 0.3486, 0.1277
    cell = np.array([[a, 0, 0], [-a / 2, a * np.sqrt(3) / 2, 0], [0, 0, c]])
    metals = [(0, 0, 1 / 4), (0, 0, 3 / 4), (1 / 3, 2 / 3, 3 / 4), (2 / 3, 1 / 3, 1 / 4), (1 / 3, 2 / 3, 1 / 4)]
    sites = [*metals, (2 / 3, 1 / 3, 3 / 4)]
    for u, v in ((x, y), (-y, x - y), (y - x, -x)):
        sites += [(u, v, z), (-u, -v, -z), (-v, -u, 0.5 - z), (v, u, 0.5 + z)]
    species = ("Li",) * 4 + ("Zr",) * 2 + ("Cl",) * 12
    model = ModelXyz(species, cell, (np.array(sites) % 1.0) @ cell, np.ones(3, dtype=bool)).replicated(repeats)
    model.positions[:] += np.random.default_rng(1).normal(size=model.positions.shape) * 0.02
    return model


class Reference:
    """ASE with calorine's CPUNEP, made once."""

    def __init__(self, model: ModelXyz, potential: Path) -> None:
        from ase import Atoms, units
        from ase.md.bussi import Bussi
        from ase.md.velocitydistribution import thermalize_momenta
        from calorine.calculators import CPUNEP

        atoms = Atoms(model.species, positions=model.positions, cell=model.cell, pbc=True)
        with contextlib.redirect_stdout(io.StringIO()):
            atoms.calc = CPUNEP(str(potential))
        rng = np.random.default_rng(3)
        thermalize_momenta(atoms, temperature_K=300.0, rng=rng)
        self.dynamics = Bussi(atoms, units.fs, temperature_K=300.0, taut=100 * units.fs, rng=rng)
        self.dynamics.run(2)

    def seconds_per_step(self) -> float:
        """CPU time of a step."""
        started = time.process_time()
        self.dynamics.run(STEPS_REFERENCE)
        return (time.process_time() - started) / STEPS_REFERENCE


def seconds_per_step(text: str, model: ModelXyz, names: list[Path], directory: Path) -> float:
    """CPU time of a step of ours, set-up and files included."""
    started = time.process_time()
    plan = make_plan(parse_run_in(text), model)
    potentials = NepPotentials(names[: len(plan.potentials)], model.species, model.pbc, threads=1)
    outcome = simulate(plan, potentials, Options(directory, 3))
    return (time.process_time() - started) / outcome.steps


def bare_force(model: ModelXyz, names: list[Path]) -> float:
    """CPU time of forces alone, for the cost of a step beside them."""
    potentials = NepPotentials(names[:1], model.species, model.pbc, threads=1)
    rng = np.random.default_rng(4)
    moves = rng.normal(size=(8, *model.positions.shape)) * 0.01
    potentials.compute(model.cell, model.positions)
    started = time.process_time()
    for step in range(STEPS_OURS):
        potentials.compute(model.cell, model.positions + moves[step % 8])
    return (time.process_time() - started) / STEPS_OURS


def main() -> None:
    model = chloride((3, 2, 1))
    head = "potential nep0.txt\nvelocity 300 seed 1\ntime_step 1\n"
    four = "".join(f"potential nep{index}.txt\n" for index in range(4)) + "velocity 300 seed 1\ntime_step 1\n"
    cell = "0 0 0 0 0 0 50 50 50 50 50 50 1000"
    cases = {
        "nvt_bdp, thermo every 10": head + f"ensemble nvt_bdp 300 300 100\ndump_thermo 10\nrun {STEPS_OURS}\n",
        "npt_scr triclinic, thermo every 10": head
        + f"ensemble npt_scr 300 300 100 {cell}\ndump_thermo 10\nrun {STEPS_OURS}\n",
        "nvt_bdp, four models, active every 10": four
        + f"ensemble nvt_bdp 300 300 100\ndump_thermo 10\nactive 10 0 1 1 0.3\nrun {STEPS_OURS}\n",
    }
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        potentials = [directory / f"nep{index}.txt" for index in range(4)]
        for index, path in enumerate(potentials):
            path.write_text(random_nep(index))
        write_model_xyz(directory / "model.xyz", model)
        reference = Reference(model, potentials[0])
        times: dict[str, list[float]] = {case: [] for case in cases}
        theirs: list[float] = []
        forces: list[float] = []
        for _ in range(TURNS):
            theirs.append(reference.seconds_per_step())
            forces.append(bare_force(model, potentials))
            for case, text in cases.items():
                times[case].append(seconds_per_step(text, model, potentials, directory))
    base = statistics.median(theirs)
    print(f"{len(model.species)} atoms, one thread, CPU time, medians of {TURNS} turns")
    print(f"{'ASE + calorine CPUNEP + Bussi':52s} {1 / base:9.1f} steps/s   1.0x")
    for case, values in times.items():
        median = statistics.median(values)
        print(f"{'lizrcl-gpumd: ' + case:52s} {1 / median:9.1f} steps/s {base / median:5.1f}x")
    beside = statistics.median(times["nvt_bdp, thermo every 10"]) - statistics.median(forces)
    print(f"of an nvt_bdp step {beside * 1e6:.0f} microseconds are not forces (set-up and files included)")


if __name__ == "__main__":
    main()
