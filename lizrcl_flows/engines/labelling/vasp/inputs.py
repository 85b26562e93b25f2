"""The input files of one VASP calculation, and the order in which its atoms were sent."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lizrcl_flows.documents import Structure
from lizrcl_flows.documents.arrays import Array
from lizrcl_flows.engines.labelling.vasp.potentials import Potcar
from lizrcl_flows.engines.labelling.vasp.tags import deviation, physical
from lizrcl_flows.errors import EngineError


@dataclass(frozen=True)
class Sent:
    """What VASP is asked to compute.

    Attributes
    ----------
    order
        Index in the structure of each atom of POSCAR: a result x of VASP is ``y[order] = x`` in the structure's order.
    symbols
        Elements of the atoms of POSCAR.
    cell
        Cell vectors of POSCAR (3, 3), A; right-handed, as VASP demands.
    positions
        Positions of the atoms of POSCAR (n_atoms, 3), A.
    tags
        Everything in INCAR.
    potcars
        POTCAR of each element.
    """

    order: Array
    symbols: tuple[str, ...]
    cell: Array
    positions: Array
    tags: Mapping[str, Any]
    potcars: Mapping[str, Potcar]

    def elements(self) -> list[str]:
        """Return the elements in the order of POTCAR."""
        return list(dict.fromkeys(self.symbols))


def prepare(structure: Structure, tags: Mapping[str, Any], potcars: Mapping[str, Potcar]) -> Sent:
    """Sort the atoms of a structure into blocks of one element and make its cell right-handed.

    The order is pymatgen's, by electronegativity. A left-handed cell has its last two vectors exchanged, which changes
    neither atoms nor lattice.
    """
    from pymatgen.core import Structure as PymatgenStructure

    cell = structure.cell if np.linalg.det(structure.cell) > 0 else structure.cell[[0, 2, 1]]
    made = PymatgenStructure(
        cell,
        structure.numbers.tolist(),
        structure.positions,
        coords_are_cartesian=True,
        site_properties={"sent_from": list(range(structure.n_atoms))},
    ).get_sorted_structure()
    order = np.array(made.site_properties["sent_from"], dtype=int)
    symbols = tuple(site.specie.symbol for site in made)
    return Sent(order, symbols, np.array(cell), structure.positions[order], tags, potcars)


def write_inputs(sent: Sent, directory: Path) -> None:
    """Write INCAR, POSCAR and POTCAR; without a POTCAR library POTCAR.spec, which only names them.

    Raises
    ------
    EngineError
        If the INCAR that pymatgen wrote has not exactly the tags of the level.
    """
    from pymatgen.core import Structure as PymatgenStructure
    from pymatgen.io.vasp.inputs import Incar

    from lizrcl_flows.engines.labelling.vasp.input_set import LabelInputGenerator

    potcars = [sent.potcars[element] for element in sent.elements()]
    generator = LabelInputGenerator(
        config_dict={
            "INCAR": {},
            "KPOINTS": {},
            "POTCAR": {potcar.element: potcar.symbol for potcar in potcars},
            "POTCAR_FUNCTIONAL": "PBE_54",  # pymatgen wants one; the files are found and checked by ourselves
        },
        user_incar_settings=dict(sent.tags),  # those are the ones it neither drops nor changes
    )
    structure = PymatgenStructure(sent.cell, sent.symbols, sent.positions, coords_are_cartesian=True)
    generator.get_input_set(structure, potcar_spec=True).write_input(directory)
    if all(potcar.path for potcar in potcars):
        (directory / "POTCAR.spec").unlink()
        (directory / "POTCAR").write_bytes(b"".join(potcar.content() for potcar in potcars))
    written = Incar.from_file(directory / "INCAR")
    difference = deviation(physical(sent.tags), written, complete=True)
    lost = sorted(set(sent.tags) ^ set(written))
    if difference or lost or (directory / "KPOINTS").exists():
        what = difference or (f"other tags: {', '.join(lost)}" if lost else "a KPOINTS file beside it")
        raise EngineError(f"{directory}: the INCAR that was written has {what}")
