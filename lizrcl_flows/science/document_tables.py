"""Kinds of documents as tables: which columns they have and what they can be searched by."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Column:
    """One column of a table.

    Attributes
    ----------
    path
        Field of the stored document, with dots into its parts.
    title
        Heading, with the unit where there is one.
    """

    path: str
    title: str


@dataclass(frozen=True)
class Filter:
    """One search option.

    Attributes
    ----------
    path
        Field of the stored document.
    operator
        MongoDB's comparison: ``$eq``, ``$gte`` or ``$lte``.
    value_type
        Type of the option's value.
    choices
        What would be accepted, where that is a short list.
    """

    path: str
    operator: str = "$eq"
    value_type: type = str
    choices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Noun:
    """A kind of document as tables show it."""

    name: str
    kind: str
    columns: tuple[Column, ...]
    filters: tuple[str, ...]
    sort: str = "generation,_id"

    def filter(self, option: str) -> Filter:
        """Return what a search option means for this noun."""
        return OWN_FILTERS.get((self.name, option)) or FILTERS[option]


FILTERS = {
    "campaign": Filter("campaign"),
    "generation": Filter("generation", value_type=int),
    "phase": Filter("phase"),
    "formula": Filter("formula"),
    "status": Filter("status"),
    "purpose": Filter("purpose"),
    "verdict": Filter("verdict", choices=("selected", "spare", "rejected")),
    "eps-min": Filter("eps", "$gte", float),
    "eps-max": Filter("eps", "$lte", float),
    "structure": Filter("structure"),
    "trajectory": Filter("trajectory"),
    "species": Filter("species"),
    "split": Filter("split", choices=("train", "holdout")),
    "kind": Filter("kind", choices=("train", "holdout", "fresh")),
}

OWN_FILTERS = {
    ("label", "status"): Filter("status", choices=("accepted", "failed", "quarantined")),
    ("trajectory", "status"): Filter("health.status", choices=("ok", "blown_up", "failed")),
    ("transport", "status"): Filter("status", choices=("resolved", "not_resolved", "not_diffusive")),
    ("transport", "trajectory"): Filter("trajectories"),
    ("analysis", "kind"): Filter("kind"),
    ("analysis", "status"): Filter("status", choices=("done", "not_possible")),
}

HELP = {
    "campaign": "Name of the campaign.",
    "generation": "Turn of the loop.",
    "eps-min": "Smallest disagreement of the committee (eV/A).",
    "eps-max": "Largest disagreement of the committee (eV/A).",
}

EXPENDABLE = (
    *("campaign", "level", "parent", "generation", "n_atoms", "wall_s", "formula", "pressure_gpa", "protocol"),
    *("n_parameters", "purpose", "time_fs", "ensemble", "dataset", "steps", "max_force", "score", "reason"),
)
"""Columns that are left out, the first one first, where a terminal is too narrow for all of them."""

_ID = Column("_id", "id")
_CAMPAIGN = Column("campaign", "campaign")
_GENERATION = Column("generation", "gen")
_PHASE = Column("phase", "phase")
_FORMULA = Column("formula", "formula")
_ATOMS = Column("n_atoms", "atoms")
_WHERE = (_ID, _CAMPAIGN, _GENERATION)
_BY_PLACE = ("campaign", "generation")

NOUNS = {
    noun.name: noun
    for noun in (
        Noun(
            "structure",
            "Structure",
            (*_WHERE, _PHASE, _FORMULA, _ATOMS, Column("origin.kind", "made by")),
            (*_BY_PLACE, "phase", "formula"),
        ),
        Noun(
            "candidate",
            "Candidate",
            (
                *_WHERE,
                _PHASE,
                _FORMULA,
                Column("temperature_k", "T (K)"),
                Column("time_fs", "time (fs)"),
                Column("eps", "eps (eV/A)"),
                Column("score", "score"),
                Column("verdict", "verdict"),
                Column("reason", "reason"),
            ),
            (*_BY_PLACE, "phase", "formula", "verdict", "eps-min", "eps-max", "structure", "trajectory"),
            sort="-eps",
        ),
        Noun(
            "label",
            "Label",
            (
                *_WHERE,
                Column("purpose", "purpose"),
                _PHASE,
                _FORMULA,
                _ATOMS,
                Column("status", "status"),
                Column("energy", "energy (eV)"),
                Column("max_force", "max force (eV/A)"),
                Column("wall_s", "time (s)"),
                Column("reason", "reason"),
            ),
            (*_BY_PLACE, "phase", "formula", "status", "purpose", "structure"),
        ),
        Noun(
            "level",
            "Level",
            (
                _ID,
                Column("engine", "engine"),
                Column("code", "code"),
                Column("code_version", "version"),
                Column("functional", "functional"),
                Column("note", "note"),
            ),
            (),
            sort="_id",
        ),
        Noun(
            "dataset",
            "Dataset",
            (
                *_WHERE,
                Column("split", "split"),
                Column("n_labels", "labels"),
                Column("parent", "parent"),
                Column("level", "level"),
            ),
            (*_BY_PLACE, "split"),
        ),
        Noun(
            "model",
            "Model",
            (
                *_WHERE,
                Column("member", "member"),
                Column("dataset", "data set"),
                Column("n_parameters", "parameters"),
                Column("errors.energy", "RMSE E (eV/atom)"),
                Column("errors.force", "RMSE F (eV/A)"),
                Column("wall_s", "time (s)"),
            ),
            _BY_PLACE,
            sort="generation,member",
        ),
        Noun(
            "committee",
            "Committee",
            (*_WHERE, Column("dataset", "data set"), Column("members", "members")),
            _BY_PLACE,
        ),
        Noun(
            "evaluation",
            "Evaluation",
            (
                *_WHERE,
                Column("kind", "against"),
                Column("committee", "committee"),
                Column("n_structures", "structures"),
                Column("calibration.spearman", "rank corr. of eps"),
            ),
            (*_BY_PLACE, "kind"),
        ),
        Noun(
            "trajectory",
            "Trajectory",
            (
                *_WHERE,
                Column("purpose", "purpose"),
                _PHASE,
                _FORMULA,
                _ATOMS,
                Column("ensemble", "ensemble"),
                Column("temperature_k", "T (K)"),
                Column("pressure_gpa", "P (GPa)"),
                Column("steps", "steps"),
                Column("n_frames", "frames"),
                Column("health.status", "health"),
            ),
            (*_BY_PLACE, "phase", "formula", "purpose", "status", "structure"),
        ),
        Noun(
            "transport",
            "Transport",
            (
                *_WHERE,
                _PHASE,
                Column("species", "ion"),
                Column("temperature_k", "T (K)"),
                Column("protocol", "protocol"),
                Column("status", "status"),
                Column("diffusivity", "D (A^2/ps)"),
                Column("diffusivity_std", "+-"),
                Column("reason", "reason"),
            ),
            (*_BY_PLACE, "phase", "species", "status", "trajectory"),
        ),
        Noun(
            "analysis",
            "Analysis",
            (
                *_WHERE,
                Column("kind", "kind"),
                _PHASE,
                Column("region", "region"),
                Column("temperature_k", "T (K)"),
                Column("n_frames", "frames"),
                Column("status", "status"),
                Column("trajectory", "trajectory"),
                Column("reason", "reason"),
            ),
            (*_BY_PLACE, "phase", "kind", "status", "trajectory"),
        ),
    )
}


def value_at(record: Any, path: str) -> Any:
    """Return the value at a dotted path of a stored record, or None where there is none."""
    for part in path.split("."):
        if not isinstance(record, dict):
            return None
        record = record.get(part)
    return record
