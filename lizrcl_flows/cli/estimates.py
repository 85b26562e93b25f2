"""Predicted amounts as plain values and as a person reads them."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from lizrcl_flows.cli.output import NOTHING, number

if TYPE_CHECKING:
    from lizrcl_flows.archive import Archive
    from lizrcl_flows.documents import Campaign
    from lizrcl_flows.science.costs import Estimate

SHOWN = 5
"""Generations that are told one by one."""


def estimate_row(estimate: "Estimate") -> dict[str, float]:
    """Return an estimate as plain values: expected amount and 90 % interval."""
    return {"value": estimate.value, "low": estimate.low, "high": estimate.high}


def interval(estimate: dict[str, float]) -> str:
    """Return a 90 % interval in words."""
    if not estimate["value"]:
        return NOTHING
    return f"{number(estimate['low'], 2)} to {number(estimate['high'], 2)}"


def cost_content(archive: "Archive", campaign: "Campaign") -> dict[str, Any]:
    """Return what generations were predicted to cost before they began, what they did, and what is to come."""
    from lizrcl_flows.flows.forecasts import outlook
    from lizrcl_flows.science.costs import total

    seen = outlook(archive, campaign)
    return {
        "generations": [
            {
                "generation": entry.index,
                "labels_planned": entry.planned_labels,
                "labels": entry.labels,
                "core_hours_predicted": estimate_row(total(entry.predicted.values())),
                "core_hours": sum(entry.spent.values()),
                "predicted_by_stage": {stage: estimate_row(hours) for stage, hours in entry.predicted.items()},
                "by_stage": dict(entry.spent),
            }
            for entry in seen.closed
        ],
        "to_come": {
            "generations": seen.n_generations,
            "labels": seen.n_labels,
            "core_hours": estimate_row(seen.core_hours),
            "ends": seen.ends,
        },
    }


def cost_lines(content: dict[str, Any]) -> Iterator[str]:
    """Yield what `cost_content` returned in words; of many generations the last ones."""
    rows = content["generations"]
    for row in rows[-SHOWN:]:
        predicted = row["core_hours_predicted"]
        yield (
            f"generation {row['generation']} took {number(row['core_hours'], 2)} core hours, predicted "
            f"{number(predicted['value'], 2)} ({interval(predicted)}); {row['labels']} of at most "
            f"{row['labels_planned']} labels"
        )
    if len(rows) > 1:
        took = sum(row["core_hours"] for row in rows)
        predicted = sum(row["core_hours_predicted"]["value"] for row in rows)
        yield f"{len(rows)} generations took {number(took, 2)} core hours, predicted one by one {number(predicted, 2)}"
    to_come = content["to_come"]
    if to_come["core_hours"]["value"]:
        generations = to_come["generations"]
        learning = f"{generations} generation{'s' if generations != 1 else ''}, {to_come['labels']} labels, "
        yield (
            f"to come, at the most: {learning if generations else ''}{number(to_come['core_hours']['value'], 2)} core "
            f"hours ({interval(to_come['core_hours'])}); {to_come['ends']}"
        )
