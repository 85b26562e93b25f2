#!/usr/bin/env python3
"""A stand-in for cp2k.psmp in tests: it reads CP2K's input and writes output in the form of CP2K 2023.1.

It computes tests/calculators/toy_calculator.py for the atoms of the input; no code of CP2K is in it, and what it prints
is modelled on tests/engines/data/cp2k_*.out, which CP2K wrote. It wants the basis sets and pseudopotentials that the
input names. Run it as ``python .../stand_in_cp2k.py``.

What goes wrong is told by environment variables:

STAND_IN_CP2K_MISBEHAVE
    ``unconverged``, ``abort`` (the box, exit status 1), ``crash`` (SIGSEGV in the middle), ``hang`` (an hour),
    ``no_start`` (a library is missing), ``atoms`` (other atoms), ``cell``, ``net_force``, ``asterisks`` (a force that
    does not fit its field), ``no_stress``.
STAND_IN_CP2K_ONCE
    A file: it misbehaves only while that is absent, and makes it.
STAND_IN_CP2K_VERSION
    Instead of 2023.1.
STAND_IN_CP2K_LOG
    A file that gets a line for each start.
"""

import os
import re
import signal
import sys
import time
from pathlib import Path

HARTREE_EV, BOHR_A, GPA_PER_EV_A3 = 27.211386245988, 0.529177210903, 160.2176634
BOX = """
 *******************************************************************************
 *   ___                                                                       *
 *  /   \\                                                                      *
 * [ABORT]                                                                     *
 *  \\___/            Cholesky decomposition failed. Matrix ill conditioned ?   *
 *    |                                                                        *
 *  O/|                                                                        *
 * /| |                                                                        *
 * / \\                                               cp_dbcsr_cholesky.F:122  *
 *******************************************************************************
"""


def setting(name):
    return os.environ.get(f"STAND_IN_CP2K_{name}", "")


def misbehaviour():
    once = setting("ONCE")
    if once and Path(once).exists():
        return ""
    if once and setting("MISBEHAVE"):
        Path(once).touch()
    return setting("MISBEHAVE")


def read_input(text):
    cell = [[float(word) for word in re.search(rf"^\s*{axis} (.*)$", text, re.M)[1].split()] for axis in "ABC"]
    coordinates = re.search(r"&COORD\n(.*?)&END COORD", text, re.S)[1]
    rows = [line.split() for line in coordinates.splitlines() if line.strip()]
    return cell, [row[0].partition("_")[0] for row in rows], [[float(word) for word in row[1:4]] for row in rows]


def check_data(text, symbols):
    for key, name in (("BASIS_SET", "BASIS"), ("POTENTIAL", "POTENTIAL")):
        entries = Path(name).read_text()
        for symbol in set(symbols):
            kind = re.search(rf"&KIND {symbol}_\d+\n(.*?)&END KIND", text, re.S)[1]
            wanted = re.search(rf"^\s*{key} (\S+)", kind, re.M)[1]
            assert re.search(rf"^\s*{symbol} .*\b{wanted}\b", entries, re.M), (symbol, wanted)


def main():
    version = setting("VERSION") or "2023.1"
    if "--version" in sys.argv:
        # CP2K breaks the options of its compiler at 70 characters, wherever that is
        data = setting("DATA")
        options = f'   -D __SOMETHING -D __DATA_DIR="{data}" -D __SHORT_FILE__="start/cp2k.F" -g'
        broken = "\n   ".join(options[3:][start : start + 70] for start in range(0, len(options[3:]), 70))
        print(f" CP2K version {version}\n Source code revision git:0000000\n compiler options:\n   {broken}")
        return 0
    if setting("LOG"):
        with Path(setting("LOG")).open("a") as handle:
            handle.write(f"{os.getpid()} {os.environ['OMP_NUM_THREADS']}\n")
    problem = misbehaviour()
    if problem == "no_start":
        print("cp2k.psmp: error while loading shared libraries: libxc.so.9: cannot open", file=sys.stderr)
        return 127
    output = Path(sys.argv[sys.argv.index("-o") + 1])
    text = Path(sys.argv[sys.argv.index("-i") + 1]).read_text()
    with output.open("w") as handle:
        return compute(text, version, problem, handle)


def compute(text, version, problem, handle):
    sys.path.insert(0, str(Path(__file__).parents[1] / "calculators"))
    import numpy as np
    from ase import Atoms
    from toy_calculator import ToyIonic

    def say(line=""):
        print(line, file=handle, flush=True)

    cell, symbols, positions = read_input(text)
    check_data(text, symbols)
    atoms = Atoms(symbols, positions=positions, cell=cell, pbc=True)
    if problem == "atoms":
        atoms.positions[0, 0] += 0.01
    if problem == "cell":
        atoms.set_cell(np.array(cell) * 1.01)
    say_what_it_is(say, version, atoms)
    if problem == "abort":
        say(BOX)
        return 1
    say_atoms(say, atoms)
    if problem == "hang":
        time.sleep(3600)
    if problem == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    atoms.calc = ToyIonic()
    say_results(say, atoms, problem)
    return 0


def say_what_it_is(say, version, atoms):
    say("  **** **** ******  **  PROGRAM STARTED AT               2026-01-01 00:00:00.000")
    say(f" CP2K| version string:                                       CP2K version {version}")
    say(" CP2K| source code revision number:                                  git:0000000")
    say(" GLOBAL| Total number of message passing processes                             1")
    say(f" GLOBAL| Number of threads for this process              {os.environ['OMP_NUM_THREADS']:>21}")
    for axis, vector in zip("abc", atoms.cell, strict=True):
        words = "".join(f"{value:10.3f}" for value in vector)
        say(f" CELL| Vector {axis} [angstrom]:  {words}   |{axis}| = {sum(vector**2) ** 0.5:12.6f}")


def kind_of(atom, atoms):
    return list(dict.fromkeys(atoms.symbols)).index(atom.symbol) + 1


def say_atoms(say, atoms):
    say("\n MODULE QUICKSTEP: ATOMIC COORDINATES IN ANGSTROM\n")
    say("   Atom Kind Element         X             Y             Z       Z(eff)     Mass")
    for i, atom in enumerate(atoms):
        words = "".join(f"{value:14.6f}" for value in atom.position)
        names = f"{i + 1:7d}{kind_of(atom, atoms):5d} {atom.symbol:<2}{atom.number:5d}"
        say(f"{names}{words}{3.0:9.4f}{atom.mass:9.4f}")
    say("\n\n\n SCF WAVEFUNCTION OPTIMIZATION\n")


def say_results(say, atoms, problem):
    if problem == "unconverged":
        say("  Leaving inner SCF loop after reaching    60 steps.\n")
        say(" *** WARNING in qs_scf.F:601 :: SCF run NOT converged ***\n")
    else:
        say("  *** SCF run converged in     7 steps ***\n")
    say(f" ENERGY| Total FORCE_EVAL ( QS ) energy [a.u.]:     {atoms.get_potential_energy() / HARTREE_EV:27.15f}\n\n")
    forces = atoms.get_forces() * BOHR_A / HARTREE_EV
    if problem == "net_force":
        forces[0, 0] += 0.01
    say(" ATOMIC FORCES in [a.u.]\n\n # Atom   Kind   Element          X              Y              Z")
    for i, (atom, force) in enumerate(zip(atoms, forces, strict=True)):
        words = "".join(f"{value:15.8f}" for value in force)
        if problem == "asterisks" and i == 2:
            words = words[:15] + " " + "*" * 14 + words[30:]
        say(f"{i + 1:7d}{kind_of(atom, atoms):7d}      {atom.symbol:<2}    {words}")
    say(" SUM OF ATOMIC FORCES           0.00000000     0.00000000     0.00000000     0.00000000\n")
    if problem != "no_stress":
        say(" STRESS| Analytical stress tensor [GPa]")
        say(" STRESS|                        x                   y                   z")
        for axis, row in zip("xyz", -atoms.get_stress(voigt=False) * GPA_PER_EV_A3, strict=True):
            say(f" STRESS|      {axis} " + "".join(f"{value:20.11E}" for value in row))
        say(" STRESS| 1/3 Trace                                             0.00000000000E+00\n")
    say(" CP2K                                 1  1.0    0.124    0.124    1.500    1.500\n")
    say("  **** **** ******  **  PROGRAM ENDED AT                 2026-01-01 00:00:01.500")


if __name__ == "__main__":
    sys.exit(main())
