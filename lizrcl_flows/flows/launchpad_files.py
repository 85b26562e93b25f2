"""Workflow files for `lpad add`, generated from the shipped systems and checked in CI."""

import json
import uuid
from itertools import product
from pathlib import Path
from typing import Any

from lizrcl_flows.flows.campaign import CampaignMaker
from lizrcl_flows.jobs.beginning import begin_campaign
from lizrcl_flows.jobs.routing import in_category
from lizrcl_flows.jobs.turns import INITIAL, PRODUCTION
from lizrcl_flows.systems import load_campaign, system_names

PARTS: dict[str, str | None] = {"initial_set": INITIAL, "campaign": None, "production": PRODUCTION}
"""What a file begins, by the end of its name."""


def launchpad_file(system: str, part: str) -> dict[str, Any]:
    """Return the FireWorks workflow that begins a campaign of a shipped system, or one part of it.

    It is one Firework: it stores the campaign and submits what comes next; every turn submits the one after it.

    Parameters
    ----------
    part
        "initial_set" (the first training set, and no more), "campaign", or "production" (with the newest committee of a
        campaign that does not learn any more).
    """
    from jobflow import Flow
    from jobflow.managers.fireworks import flow_to_workflow

    spec = load_campaign({"name": system, "system": system})
    title = f"{system} {part}"
    begin = in_category(begin_campaign(spec, CampaignMaker.from_spec(spec), PARTS[part]), "cpu", f"begin {title}")
    begin.set_uuid(_fixed_uuid(f"{title}/begin"))
    flow = Flow([begin], name=title, uuid=_fixed_uuid(title))
    workflow = flow_to_workflow(flow, store=None, name=title, metadata={"campaign": system})
    content: dict[str, Any] = _without_dates(json.loads(workflow.to_format("json")))
    content["fws"][0]["fw_id"], content["links"] = -1, {"-1": []}  # FireWorks counts new ones through the process
    return content


def write_launchpad_files(directory: Path, *, check: bool = False) -> list[Path]:
    """Write the files of every shipped system; with `check`, only compare.

    Returns
    -------
    list of Path
        Files that were written, or with `check` those that differ from what would be written.
    """
    changed = []
    for system, part in product(system_names(), PARTS):
        path = directory / f"{system}_{part}.json"
        text = json.dumps(launchpad_file(system, part), indent=1, sort_keys=True) + "\n"
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        changed.append(path)
        if not check:
            directory.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    return changed


def _fixed_uuid(name: str) -> str:
    """Return a UUID that depends on a name alone, so that the file is the same every time."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"lizrcl_flows/launchpad/{name}"))


def _without_dates(value: Any) -> Any:
    """Drop what changes from one writing to the next; FireWorks fills dates in when the file is added."""
    if isinstance(value, dict):
        return {key: _without_dates(item) for key, item in value.items() if key not in ("created_on", "updated_on")}
    if isinstance(value, list):
        return [_without_dates(item) for item in value]
    return value
