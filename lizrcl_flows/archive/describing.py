"""Documents in a few words, as a line of a lineage says them."""

from collections.abc import Iterable
from typing import Any

from lizrcl_flows.archive.archive import Archive
from lizrcl_flows.documents import BY_PREFIX
from lizrcl_flows.science.document_tables import value_at
from lizrcl_flows.science.wording import text

DETAILS = {
    "cam": ("name",),
    "str": ("formula", "phase", "origin.kind"),
    "can": ("phase", "verdict", "eps"),
    "lab": ("status", "purpose", "phase", "reason"),
    "lev": ("code",),
    "dat": ("split", "n_labels"),
    "mod": ("member", "seed"),
    "com": (),
    "eva": ("kind", "n_structures"),
    "gen": ("index", "state"),
    "tra": ("purpose", "phase", "ensemble", "temperature_k", "health.status"),
    "tsp": ("species", "temperature_k", "protocol", "status"),
    "ana": ("kind", "temperature_k", "status"),
}
"""What a line of the tree says about a document of each kind."""

WORDS = {
    "temperature_k": "{} K",
    "n_labels": "{} labels",
    "n_structures": "{} structures",
    "eps": "eps {} eV/A",
    "seed": "seed {}",
    "member": "member {}",
    "index": "generation {}",
}


def details(archive: Archive, ids: Iterable[str]) -> dict[str, str]:
    """Return what is remarkable about each document, by id; one query a kind.

    Parameters
    ----------
    ids
        Whole ids of any kinds; those about which there is nothing to say are left out.
    """
    by_kind: dict[str, list[str]] = {}
    for name in ids:
        by_kind.setdefault(name.partition("_")[0], []).append(name)
    told = {}
    for kind, names in by_kind.items():
        fields = DETAILS.get(kind, ())
        if fields:
            for record in archive.find_records(BY_PREFIX[kind], {"_id": {"$in": names}}, fields=fields):
                told[record["_id"]] = ", ".join(
                    _told(record, field) for field in fields if value_at(record, field) not in (None, "")
                )
    return told


def _told(record: dict[str, Any], field: str) -> str:
    return WORDS.get(field, "{}").format(text(value_at(record, field)))
