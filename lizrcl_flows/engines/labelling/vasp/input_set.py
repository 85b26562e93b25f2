"""Input files of one label, by atomate2's input set. Importing this takes seconds: it is imported where it is used."""

from dataclasses import dataclass, field
from typing import Any

from atomate2.vasp.sets.base import VaspInputGenerator

from lizrcl_flows.engines.labelling.vasp.potentials import DEFAULT_POTENTIALS
from lizrcl_flows.engines.labelling.vasp.tags import tags_of_level


def _study_settings() -> dict[str, Any]:
    return {"INCAR": tags_of_level("PBE", "D3-BJ", {}), "KPOINTS": {}, "POTCAR": dict(DEFAULT_POTENTIALS)}


@dataclass
class LabelInputGenerator(VaspInputGenerator):  # type: ignore[misc]  # atomate2 has no types for mypy
    """A static calculation with exactly the tags it is given; without any, with those of the study.

    What atomate2 and pymatgen would derive from the structure or a former run is switched off. The structure is sorted
    by electronegativity here, because atomate2 0.1.5 does not do what its ``sort_structure`` says.
    """

    config_dict: dict[str, Any] = field(default_factory=_study_settings)
    auto_ismear: bool = False
    inherit_incar: bool = False
    validate_magmom: bool = False

    def get_input_set(self, structure: Any = None, prev_dir: Any = None, potcar_spec: bool = False) -> Any:
        """Return the input files of a structure, its species in blocks."""
        ordered = None if structure is None else structure.get_sorted_structure()
        return super().get_input_set(ordered, prev_dir=prev_dir, potcar_spec=potcar_spec)
