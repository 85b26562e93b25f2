"""The table of a campaign's generations, as a person reads it."""

from collections.abc import Iterable, Iterator
from typing import Any

GENERATION_HEADER = (
    "gen",
    "explored",
    "rejected",
    "selected",
    "labelled",
    "failed",
    "eps\nmedian,\nmax eV/A",
    "hold-out\nF RMSE\nmeV/A",
    "hold-out\nE RMSE\nmeV/atom",
)


def generation_cells(row: dict[str, Any]) -> list[Any]:
    """Return the cells of a row of the table of generations, for `GENERATION_HEADER`."""
    from lizrcl_flows.cli.output import NOTHING, number

    eps = (row["eps_median"], row["eps_max"])
    forces, energies = (
        [None if row[f"{name}_{when}"] is None else 1000 * row[f"{name}_{when}"] for when in ("before", "after")]
        for name in ("rmse_force", "rmse_energy")
    )
    return [
        row["generation"],
        row["explored"],
        sum(row["rejected"].values()),
        row["selected"],
        row["labelled"],
        row["failed"],
        NOTHING if eps == (None, None) else f"{number(eps[0], 2)}, {number(eps[1], 2)}",
        _change(*forces),
        _change(*energies),
    ]


def generation_sentence(row: dict[str, Any]) -> str:
    """Return what a row of the table of generations says, for a log."""
    _, *counts, eps, forces, energies = generation_cells(row)
    told = ", ".join(f"{count} {name}" for name, count in zip(GENERATION_HEADER[1:6], counts, strict=True))
    deviation = "" if row["eps_max"] is None else f"; eps median, max {eps} eV/A"
    return f"{told}{deviation}; hold-out RMSE {forces} meV/A, {energies} meV/atom"


def rejection_lines(rows: Iterable[dict[str, Any]]) -> Iterator[str]:
    """Yield for each generation that rejected frames what it rejected them for."""
    for row in rows:
        if row["rejected"]:
            reasons = ", ".join(f"{count} {reason}" for reason, count in row["rejected"].items())
            yield f"generation {row['generation']} rejected {reasons}"


def _change(before: float | None, after: float | None) -> str:
    from lizrcl_flows.cli.output import number

    return number(after, 2) if before is None else f"{number(before, 2)} -> {number(after, 2)}"
