"""CP2K's input for one structure, made by atomate2's static input set with our settings.

What differs from atomate2's defaults, and why (measured with CP2K 2023.1):

* diagonalisation with Broyden mixing instead of orbital transformation: a third of the time for these insulators;
* ``XC_GRID/USE_FINER_GRID``: with oxygen, a rigid shift of the crystal makes net forces of 1 eV/A without it;
* ``EPS_PGF_ORB`` 1e-8: CP2K's own choice, 1e-5, is off by 0.03 GPa; pymatgen's, 1e-16, doubles the time;
* basis sets and pseudopotentials are the entries of CP2K's data themselves, so that pymatgen needs no data of its own;
* no cubes, no densities of states, no restart files.
"""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lizrcl_flows.documents import Structure
from lizrcl_flows.engines.labelling.cp2k.data import Entry

INPUT_FILE = "cp2k.inp"
OUTPUT_FILE = "cp2k.out"

DISPERSIONS = {"D3-BJ": "DFTD3(BJ)", "D3-zero": "DFTD3"}

_SILENT = ("print_dos", "print_pdos", "print_mo_cubes", "print_v_hartree", "print_e_density", "print_bandstructure")


@dataclass(frozen=True)
class Scf:
    """How the self-consistent field is reached; where it ends does not depend on it.

    Attributes
    ----------
    max_steps
        Steps after which it counts as not converged.
    mixing
        Share of the new density that is mixed in.
    history
        Earlier densities that Broyden's scheme remembers.
    """

    max_steps: int = 60
    mixing: float = 0.3
    history: int = 8


GENTLE = Scf(max_steps=200, mixing=0.1, history=16)
"""For a second attempt."""


@dataclass(frozen=True)
class Deck:
    """Everything that an input is made of.

    Attributes
    ----------
    settings
        See `engine.DEFAULTS`.
    basis_sets, potentials
        Entry of each element.
    dispersion
        Key of `DISPERSIONS`, or none.
    """

    settings: Mapping[str, Any]
    basis_sets: Mapping[str, Entry]
    potentials: Mapping[str, Entry]
    dispersion: str | None

    def is_spin_polarized(self, symbols: list[str]) -> bool:
        """Tell whether spins are treated apart: where the number of electrons is odd, or where the settings say so."""
        n_electrons = sum(self.potentials[symbol].n_electrons for symbol in symbols)
        return bool(self.settings["spin_polarized"] == "always" or n_electrons % 2)

    def write(self, structure: Structure, directory: Path, scf: Scf) -> None:
        """Write ``cp2k.inp``, ``BASIS`` and ``POTENTIAL``; atoms keep their order.

        atomate2's settings of the machine that would change an input (``CP2K_INPUT_UPDATES``) are not applied: they
        would change the level of theory.
        """
        from ase.data import chemical_symbols
        from atomate2.cp2k.sets.core import StaticSetGenerator
        from pymatgen.core import Lattice
        from pymatgen.core import Structure as Crystal
        from pymatgen.io.cp2k.inputs import Section

        symbols = [chemical_symbols[number] for number in structure.numbers]
        crystal = Crystal(Lattice(structure.cell), symbols, structure.positions, coords_are_cartesian=True)
        generator = StaticSetGenerator(
            user_input_settings=self._input_settings(symbols, scf), user_kpoints_settings=None, sort_structure=False
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # that the functional of the dispersion is not checked
            inputs = generator.get_input_set(crystal, optional_files=False)
        section = Section("RESTART", subsections={}, section_parameters=["OFF"])
        inputs.cp2k_input["FORCE_EVAL"]["DFT"]["SCF"].insert(Section("PRINT", subsections={"RESTART": section}))
        inputs.write_input(directory)
        elements = sorted(set(symbols))
        for name, entries in (("BASIS", self.basis_sets), ("POTENTIAL", self.potentials)):
            (directory / name).write_text("".join(entries[element].text for element in elements), encoding="utf-8")

    def _input_settings(self, symbols: list[str], scf: Scf) -> dict[str, Any]:
        settings = self.settings
        exchange: dict[str, Any] = {"XC_GRID": {"USE_FINER_GRID": settings["finer_xc_grid"]}}
        values = {
            "xc_functionals": "PBE",
            "ot": False,
            "smearing": False,
            "cutoff": settings["cutoff_ry"],
            "rel_cutoff": settings["rel_cutoff_ry"],
            "eps_scf": settings["eps_scf"],
            "eps_default": settings["eps_default"],
            "eps_pgf_orb": settings["eps_pgf_orb"],
            "spin_polarized": self.is_spin_polarized(symbols),
            "alpha": scf.mixing,
            "nbuffer": scf.history,
            "basis_and_potential": self._basis_and_potential(symbols),
            **dict.fromkeys(_SILENT, False),
        }
        if self.dispersion is not None:
            values["activate_vdw_potential"] = {
                "dispersion_functional": "PAIR_POTENTIAL",
                "potential_type": DISPERSIONS[self.dispersion],
            }
            cutoff = f"[angstrom] {settings['dispersion_cutoff_a']}"
            exchange["VDW_POTENTIAL"] = {"PAIR_POTENTIAL": {"R_CUTOFF": cutoff}}
        values["override_default_params"] = {
            "FORCE_EVAL": {
                "STRESS_TENSOR": "ANALYTICAL",
                "DFT": {
                    "BASIS_SET_FILE_NAME": "BASIS",
                    "POTENTIAL_FILE_NAME": "POTENTIAL",
                    "XC": exchange,
                    "SCF": {"MAX_SCF": scf.max_steps, "SCF_GUESS": "ATOMIC"},
                },
            }
        }
        return values

    def _basis_and_potential(self, symbols: list[str]) -> dict[str, Any]:
        from pymatgen.io.cp2k.inputs import GaussianTypeOrbitalBasisSet, GthPotential

        return {
            symbol: {
                "basis": GaussianTypeOrbitalBasisSet.from_str(self.basis_sets[symbol].text),
                "potential": GthPotential.from_str(self.potentials[symbol].text),
                "aux_basis": None,  # atomate2 names one for hybrid functionals
            }
            for symbol in sorted(set(symbols))
        }
