#!/usr/bin/env python3
"""A stand-in for vasp_std in tests: it reads VASP's input files and leaves output files that VASP's readers accept.

It computes the pair potential of tests/calculators/toy_calculator.py in its own way, so that a label can be checked
against that calculator; no code, data or result of VASP is in it. Like VASP it wants a right-handed cell and species
in blocks of one POTCAR each; the energies of its electronic steps lack the dispersion (IVDW), and the ``e_0_energy``
after them is wrong, as it is in VASP's vasprun.xml. Run it as ``ATOMATE2_VASP_CMD="python .../stand_in_vasp.py"``.

What goes wrong is told by environment variables:

STAND_IN_VASP_MISBEHAVE
    ``unconverged`` (NELM steps and no end), ``crash`` (exit status 1 in the middle of vasprun.xml), ``killed`` (by
    SIGKILL, there), ``return_code`` (all is written, then exit status 3), ``hang`` (sleeps an hour), ``stubborn``
    (sleeps, and SIGTERM does not end it), ``no_start`` (says that a library is missing), ``atoms`` (computes other
    atoms), ``cell`` (another cell), ``tags`` (says that ENCUT was another), ``positive`` (energy), ``nan`` (a force),
    ``net_force``; ``message`` only prints the message.
STAND_IN_VASP_MESSAGE
    Printed while it misbehaves, for custodian to find.
STAND_IN_VASP_UNTIL
    ``TAG=value``: it behaves once INCAR has this.
STAND_IN_VASP_ONCE
    A file: it misbehaves only while that is absent, and makes it.
STAND_IN_VASP_SPECIES
    An element: it misbehaves only for structures that contain it.
STAND_IN_VASP_VERSION
    Instead of 6.4.2.
STAND_IN_VASP_DELAY_S
    Seconds to sleep before the work.
STAND_IN_VASP_LOG
    A file that gets one line for each start.
"""

import os
import re
import signal
import sys
import time
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # threads would cost more than they help

import numpy as np

KILOBAR = 1602.1766208
CUTOFF_A, DECAY_A, SCREENING_A, DAMPING_A, BORN_MAYER_EV, COULOMB_EV_A = 6.0, 0.28, 2.0, 2.5, 0.6, 14.399645
ELEMENTS = {  # charge (e), radius (A), square root of C6, electrons
    "Li": (0.5657, 0.477, 1.41, 3),
    "O": (-1.1314, 1.276, 12.7, 6),
    "Cl": (-0.5657, 1.6, 26.2, 7),
    "Zr": (2.2628, 0.923, 5.66, 12),
}


def setting(name):
    return os.environ.get(f"STAND_IN_VASP_{name}", "")


def read_poscar():
    lines = Path("POSCAR").read_text().splitlines()
    cell = float(lines[1]) * np.array([line.split()[:3] for line in lines[2:5]], dtype=float)
    symbols, counts = lines[5].split(), [int(word) for word in lines[6].split()]
    places = np.array([line.split()[:3] for line in lines[8 : 8 + sum(counts)]], dtype=float)
    if lines[7].strip()[0] in "cCkK":
        places = places @ np.linalg.inv(cell)
    return cell, symbols, counts, places


def read_incar():
    pairs = (line.split("=", 1) for line in Path("INCAR").read_text().splitlines() if "=" in line)
    return {name.strip().upper(): value.strip() for name, value in pairs}


def read_potcar(symbols):
    """Return TITEL and ZVAL of each POTCAR; of POTCAR.spec, which only names them, some of our own."""
    if Path("POTCAR").exists():
        text = Path("POTCAR").read_text()
        titles = [title.strip() for title in re.findall(r"TITEL\s*=(.*)", text)]
        electrons = [float(number) for number in re.findall(r"ZVAL\s*=\s*([\d.]+)", text)]
    else:
        titles = [f"PAW_PBE {name} 01Jan2000" for name in Path("POTCAR.spec").read_text().split()]
        electrons = [float(ELEMENTS[symbol][3]) for symbol in symbols]
    if [title.split()[1].split("_")[0] for title in titles] != symbols:
        sys.exit(f"ERROR: type information on POSCAR and POTCAR are incompatible: {symbols}, {titles}")
    return titles, electrons


def evaluate(symbols, cell, cartesian, *, dispersion):
    """Return energy (eV) without and with dispersion, forces (eV/A) and stress (eV/A^3, tension positive)."""
    charge, radius, strength, _ = np.array([ELEMENTS[symbol] for symbol in symbols]).T
    reach = np.ceil(CUTOFF_A * np.linalg.norm(np.linalg.inv(cell), axis=0) + 1).astype(int)
    bare = energy = 0.0
    forces, strain_derivative = np.zeros_like(cartesian), np.zeros((3, 3))
    images = np.array(list(np.ndindex(*(2 * reach + 1)))) - reach
    for atom, position in enumerate(cartesian):
        bond = (cartesian[None] - position + (images @ cell)[:, None]).reshape(-1, 3)
        other = np.tile(np.arange(len(symbols)), len(images))
        r = np.linalg.norm(bond, axis=1)
        near = (r > 1e-8) & (r < CUTOFF_A)
        bond, other, r = bond[near], other[near], r[near]
        wall = BORN_MAYER_EV * np.exp((radius[atom] + radius[other] - r) / DECAY_A)
        ionic = COULOMB_EV_A * charge[atom] * charge[other] * np.exp(-r / SCREENING_A) / r
        attraction = -strength[atom] * strength[other] / (r**6 + DAMPING_A**6) * dispersion
        slope = -wall / DECAY_A - ionic / SCREENING_A - ionic / r - attraction * 6 * r**5 / (r**6 + DAMPING_A**6)
        smooth = (1 - (r / CUTOFF_A) ** 2) ** 3
        smooth_slope = -6 * r / CUTOFF_A**2 * (1 - (r / CUTOFF_A) ** 2) ** 2
        bare += 0.5 * float(((wall + ionic) * smooth).sum())
        energy += 0.5 * float(((wall + ionic + attraction) * smooth).sum())
        pull = ((slope * smooth + (wall + ionic + attraction) * smooth_slope) / r)[:, None] * bond
        forces[atom] += pull.sum(axis=0)
        strain_derivative += 0.5 * pull.T @ bond
    return bare, energy, forces, strain_derivative / abs(np.linalg.det(cell))


def varray(name, rows):
    lines = "".join("<v>" + "".join(f" {value:15.8f}" for value in row) + " </v>\n" for row in rows)
    return f'<varray name="{name}" >\n{lines}</varray>\n'


def item(name, value):
    """Return one tag with its type, as VASP writes it."""
    word = str(value)
    lower = word.strip(".").lower()
    if lower in ("true", "false", "t", "f"):
        return f'<i type="logical" name="{name}"> {lower[0].upper()} </i>\n'
    try:
        number = float(word)
    except ValueError:
        return f'<i type="string" name="{name}">{word}</i>\n'
    kind = 'type="int" ' if word.lstrip("+-").isdigit() else ""
    return f'<i {kind}name="{name}"> {word if kind else f"{number:15.8f}"} </i>\n'


def structure(name, cell, places):
    attribute = f' name="{name}"' if name else ""
    crystal = varray("basis", cell) + f'<i name="volume"> {abs(np.linalg.det(cell)):15.8f} </i>\n'
    crystal += varray("rec_basis", np.linalg.inv(cell).T)
    return f"<structure{attribute} >\n<crystal>\n{crystal}</crystal>\n{varray('positions', places)}</structure>\n"


def energies(free, zero, *, wrong_zero=False):
    values = (("e_fr_energy", free), ("e_wo_entrp", zero + zero - free), ("e_0_energy", -1.5 if wrong_zero else zero))
    return "<energy>\n" + "".join(f'<i name="{name}"> {value:.8f} </i>\n' for name, value in values) + "</energy>\n"


def atominfo(symbols, counts, titles):
    per_atom = [number for number, count in enumerate(counts) for _ in range(count)]
    atoms = "".join(f"<rc><c>{symbols[kind]:2s}</c><c> {kind + 1}</c></rc>\n" for kind in per_atom)
    types = "".join(
        f"<rc><c> {count}</c><c>{symbol:2s}</c><c> 1.0</c><c> 1.0</c><c> {title} </c></rc>\n"
        for symbol, count, title in zip(symbols, counts, titles, strict=True)
    )
    return (
        f'<atominfo>\n<atoms> {len(per_atom)} </atoms>\n<types> {len(symbols)} </types>\n<array name="atoms" >\n'
        '<dimension dim="1">ion</dimension>\n<field type="string">element</field>\n<field type="int">atomtype</field>\n'
        f'<set>\n{atoms}</set>\n</array>\n<array name="atomtypes" >\n<dimension dim="1">type</dimension>\n'
        '<field type="int">atomspertype</field>\n<field type="string">element</field>\n<field>mass</field>\n'
        f'<field>valence</field>\n<field type="string">pseudopotential</field>\n<set>\n{types}</set>\n</array>\n'
        "</atominfo>\n"
    )


def head(incar, mesh, version, n_electrons):
    """Return vasprun.xml up to the atoms: program, what was read, k-points, what it made of its input."""
    made = {
        "PREC": incar.get("PREC", "Normal").lower()[:6],
        "ENMAX": float(incar.get("ENCUT", 400)),
        "EDIFF": float(incar.get("EDIFF", 1e-4)),
        "NELM": int(incar.get("NELM", 60)),
        "NSW": int(incar.get("NSW", 0)),
        "IBRION": -1,
        "ISIF": 2,
        "ISMEAR": int(incar.get("ISMEAR", 1)),
        "SIGMA": float(incar.get("SIGMA", 0.2)),
        "ISPIN": int(incar.get("ISPIN", 1)),
        "KSPACING": float(incar.get("KSPACING", 0.5)),
        "LASPH": incar.get("LASPH", "F"),
        "LREAL": incar.get("LREAL", "F"),
        "GGA": incar.get("GGA", "--").upper(),
        "LHFCALC": incar.get("LHFCALC", "F"),
        "METAGGA": incar.get("METAGGA", "--"),
        "NELECT": n_electrons,
    }
    count = int(np.prod(mesh))
    points = [np.array(index) / mesh for index in np.ndindex(*mesh)]
    said = dict(incar)
    if misbehaves("tags", incar):
        said["ENCUT"] = "400.0"
    return (
        '<?xml version="1.0" encoding="ISO-8859-1"?>\n<modeling>\n<generator>\n'
        f'<i name="program" type="string">vasp </i>\n<i name="version" type="string">{version}  </i>\n'
        '<i name="subversion" type="string">(stand-in of the tests) serial </i>\n</generator>\n'
        f"<incar>\n{''.join(item(name, value) for name, value in said.items())}</incar>\n"
        f'<kpoints>\n<generation param="Gamma">\n<v type="int" name="divisions"> {mesh[0]} {mesh[1]} {mesh[2]} </v>\n'
        f'<v name="usershift"> 0.0 0.0 0.0 </v>\n</generation>\n{varray("kpointlist", points)}'
        f"{varray('weights', [[1 / count]] * count)}</kpoints>\n"
        f"<parameters>\n{''.join(item(name, value) for name, value in made.items())}</parameters>\n"
    )


def electronic_steps(bare, zero_shift, incar):
    """Return the electronic steps: twelve that converge, or NELM that do not."""
    if misbehaves("unconverged", incar):
        values = [bare + 0.5 * (-1) ** step for step in range(int(incar.get("NELM", 60)))]
    else:
        values = [bare + 10.0 ** (2 - step) * (step < 11) for step in range(12)]
    parts = [f"<scstep>\n{energies(value, value + zero_shift)}</scstep>\n" for value in values]
    lines = [f"DAV: {step + 1:3d}    {value:19.12E}\n" for step, value in enumerate(values)]
    return "".join(parts), "       N       E                     dE\n" + "".join(lines)


def outcar(version, kilobars, energy, incar):
    end = "" if misbehaves("unconverged", incar) else "--- aborting loop because EDIFF is reached ---\n"
    order = ((0, 0), (1, 1), (2, 2), (0, 1), (1, 2), (2, 0))
    return (
        f" vasp.{version} (stand-in of the tests) serial\n running on    4 total cores\n{end}"
        f"  in kB {' '.join(f'{kilobars[place]:11.5f}' for place in order)}\n"
        f"  free  energy   TOTEN  = {energy:18.8f} eV\n General timing and accounting informations for this job:\n"
        "                         Elapsed time (sec):        1.000\n"
    )


def misbehaves(how, incar, *, decided={}):  # noqa: B006 - decided once for the whole run
    if "now" not in decided:
        tag, _, value = setting("UNTIL").partition("=")
        done = bool(tag) and incar.get(tag, "").lower() == value.lower()
        species = setting("SPECIES")
        foreign = bool(species) and species not in Path("POSCAR").read_text().splitlines()[5].split()
        decided["now"] = not done and not foreign
        once = setting("ONCE")
        if once and decided["now"] and setting("MISBEHAVE"):
            decided["now"] = not Path(once).exists()
            Path(once).touch()
    return decided["now"] and setting("MISBEHAVE") == how


def begin(incar):
    """Misbehave before there is a result, where told to."""
    if misbehaves("no_start", incar):
        sys.exit("error while loading shared libraries: libmkl_core.so: cannot open shared object file")
    Path("OUTCAR").write_text(" vasp.stand-in\n running on    4 total cores\n")
    known = ("unconverged", "crash", "killed", "return_code", "hang", "stubborn", "atoms", "cell", "positive", "nan")
    if any(misbehaves(how, incar) for how in (*known, "message", "tags", "net_force")):
        print(setting("MESSAGE"), flush=True)
    if misbehaves("stubborn", incar):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if misbehaves("hang", incar) or misbehaves("stubborn", incar):
        time.sleep(3600)
    time.sleep(float(setting("DELAY_S") or 0))


def compute(symbols, counts, cell, places, incar):
    """Return energy without and with dispersion, forces and stress, spoilt where told to."""
    species = [symbol for symbol, count in zip(symbols, counts, strict=True) for _ in range(count)]
    dispersion = incar.get("IVDW", "0") != "0"
    bare, energy, forces, stress = evaluate(species, cell, places @ cell, dispersion=dispersion)
    if misbehaves("positive", incar):
        bare, energy = bare + 1e4, energy + 1e4
    if misbehaves("nan", incar):
        forces[0, 0] = np.nan
    if misbehaves("net_force", incar):
        forces[:, 1] += 0.2
    return bare, energy, forces, stress


def read_structure(incar):
    """Return what POSCAR holds, as VASP accepts it; other cells or places where told to."""
    cell, symbols, counts, places = read_poscar()
    if np.linalg.det(cell) < 0:
        sys.exit("ERROR: the triple product of the basis vectors is negative, exchange two basis vectors")
    if len(set(symbols)) != len(symbols):
        sys.exit("ERROR: a species stands twice in POSCAR")
    if misbehaves("cell", incar):
        cell = cell * 1.01
    if misbehaves("atoms", incar):
        places = places + np.eye(len(places), 3) * 0.05
    return cell, symbols, counts, places


def stop_halfway(text, incar):
    """Leave half a vasprun.xml and be gone, where told to."""
    if misbehaves("crash", incar) or misbehaves("killed", incar):
        Path("vasprun.xml").write_text(text)
        if misbehaves("killed", incar):
            os.kill(os.getpid(), signal.SIGKILL)
        sys.exit("forrtl: severe (174): SIGSEGV, segmentation fault occurred")


def main():
    if setting("LOG"):
        with Path(setting("LOG")).open("a") as log:
            log.write(f"{os.getpid()} {Path.cwd()}\n")
    incar = read_incar()
    begin(incar)
    version = setting("VERSION") or "6.4.2"
    cell, symbols, counts, places = read_structure(incar)
    titles, electrons = read_potcar(symbols)
    bare, energy, forces, stress = compute(symbols, counts, cell, places, incar)
    zero_shift = 0.02 * float(incar.get("SIGMA", 0.2)) * len(places)
    lengths = 2 * np.pi * np.linalg.norm(np.linalg.inv(cell), axis=0)
    mesh = np.maximum(1, np.ceil(lengths / float(incar.get("KSPACING", 0.5)))).astype(int)
    steps, oszicar = electronic_steps(bare, zero_shift, incar)
    text = (
        head(incar, mesh, version, float(np.dot(electrons, counts)))
        + atominfo(symbols, counts, titles)
        + structure("initialpos", cell, places)
    )
    text += f"<calculation>\n{steps}{structure('', cell, places)}"
    text += varray("forces", forces) + varray("stress", -stress * KILOBAR)
    stop_halfway(text, incar)
    text += f"{energies(energy, energy + zero_shift, wrong_zero=True)}</calculation>\n"
    Path("vasprun.xml").write_text(text + structure("finalpos", cell, places) + "</modeling>\n")
    Path("OSZICAR").write_text(oszicar + f"   1 F= {energy:.8E} E0= {energy + zero_shift:.8E}  d E =0.0\n")
    Path("CONTCAR").write_text(Path("POSCAR").read_text())
    Path("OUTCAR").write_text(outcar(version, -stress * KILOBAR, energy, incar))
    if misbehaves("return_code", incar):
        sys.exit(3)


if __name__ == "__main__":
    main()
