"""Training: errors against time, on the training structures and on structures held out.

    OMP_NUM_THREADS=1 python benchmarks/nep_accuracy.py --seconds 60 --threads 2
    OMP_NUM_THREADS=1 python benchmarks/nep_accuracy.py --train train.xyz --nep-in nep.in --seconds 120

Without --train the structures are rattled Li2ZrCl6 with labels of a random potential of another cutoff and size than
the one that is trained. For GPUMD's own PbTe example (examples/nep_train, 25 structures of 250 atoms) the potential
that GPUMD ships with it, after 20,000 generations on a GPU, has 39.9 meV/A and 0.42 meV/atom: give these with
--force-mev and --energy-mev to see when they are reached. Two trainings are made: one of all structures, one that
holds a fifth of them out.
"""

import argparse
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from nep_training import make_frames

from lizrcl_flows.nep import NepIn, read_nep_in, read_structures
from lizrcl_flows.nep.training import TrainingOptions, train


class Clock:
    """Prints rows at growing times and notes when the targets are reached."""

    def __init__(self, energy_mev, force_mev):
        self.targets, self.begin, self.next = (energy_mev, force_mev), time.monotonic(), 1.0
        self.reached = None

    def row(self, row):
        """Print a row now and then."""
        elapsed = time.monotonic() - self.begin
        energy, force = 1e3 * row.train[0], 1e3 * row.train[1]
        if self.reached is None and all(
            target is not None and value <= target for value, target in zip((energy, force), self.targets, strict=True)
        ):
            self.reached = elapsed
        if elapsed >= self.next:
            held_out = f"   held out {1e3 * row.test[0]:7.3f} {1e3 * row.test[1]:8.2f}" if any(row.test) else ""
            print(f"  {elapsed:7.1f} s {row.step:8d} steps   {energy:7.3f} {force:8.2f}{held_out}", flush=True)
            self.next *= 1.5

    def snapshot(self, model):
        """Ignore it."""

    def resumed(self, step):
        """Ignore it: nothing is resumed here."""


def run(config, frames, held_out, arguments):
    clock = Clock(arguments.energy_mev, arguments.force_mev)
    options = TrainingOptions(seed=arguments.seed, threads=arguments.threads, seconds=arguments.seconds)
    print("  time, steps, RMSE of energies (meV/atom) and forces (meV/A) over the batches since the row before")
    result = train(config, frames, held_out or None, options, clock)
    for label, errors in (("training set", result.train), ("held out", result.test)):
        if errors is not None:
            print(f"  {label}: {1e3 * errors.energy:.3f} meV/atom, {1e3 * errors.force:.2f} meV/A")
    if arguments.force_mev is not None:
        told = "not reached" if clock.reached is None else f"reached after {clock.reached:.1f} s"
        print(f"  {arguments.energy_mev} meV/atom and {arguments.force_mev} meV/A over a window of batches: {told}")
        print(f"  force RMSE relative to that: {1e3 * result.train.force / arguments.force_mev:.3f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", type=Path, help="a train.xyz; structures are made where none is given")
    parser.add_argument("--nep-in", type=Path, help="its nep.in; GPUMD's defaults where none is given")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--regularised", action="store_true", help="with GPUMD's automatic lambda_1 and lambda_2, not 0"
    )
    parser.add_argument("--energy-mev", type=float)
    parser.add_argument("--force-mev", type=float)
    arguments = parser.parse_args()
    if (arguments.energy_mev is None) != (arguments.force_mev is None):
        parser.error("give both of --energy-mev and --force-mev")
    frames = read_structures(arguments.train) if arguments.train else make_frames(50, (2, 1, 1))
    species = tuple(dict.fromkeys(symbol for frame in frames for symbol in frame.species))
    config = read_nep_in(arguments.nep_in) if arguments.nep_in else NepIn(species)
    config = replace(config, batch=arguments.batch, generation=10**7, output_interval=200)
    if not arguments.regularised:
        config = replace(config, lambda_1=0.0, lambda_2=0.0)
    spread = np.std(np.concatenate([frame.forces for frame in frames]))
    print(
        f"{len(frames)} structures, {sum(len(f.species) for f in frames)} atoms; forces spread {1e3 * spread:.1f} meV/A"
    )
    print("all structures:")
    run(config, frames, [], arguments)
    print("every fifth structure held out:")
    run(config, [f for i, f in enumerate(frames) if i % 5], frames[::5], arguments)


if __name__ == "__main__":
    main()
