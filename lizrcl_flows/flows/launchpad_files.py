"""Workflow files for `lpad add`, generated from the shipped systems and checked in CI."""

import json
import uuid
from pathlib import Path
from typing import Any

from lizrcl_flows.flows.campaign import CampaignMaker
from lizrcl_flows.jobs.beginning import begin_campaign
from lizrcl_flows.jobs.routing import in_category
from lizrcl_flows.systems import load_campaign

SYSTEMS = ("demo",)
"""Shipped systems whose engines are all there."""


def launchpad_file(system: str) -> dict[str, Any]:
    """Return the FireWorks workflow that begins a campaign of a shipped system.

    It is one Firework: it stores the campaign and submits generation 0; every turn submits the one after it.
    """
    from jobflow import Flow
    from jobflow.managers.fireworks import flow_to_workflow

    spec = load_campaign({"name": system, "system": system})
    begin = in_category(begin_campaign(spec, CampaignMaker.from_spec(spec)), "cpu", f"begin {system}")
    begin.set_uuid(_fixed_uuid(f"{system}/begin"))
    flow = Flow([begin], name=system, uuid=_fixed_uuid(system))
    workflow = flow_to_workflow(flow, store=None, name=system, metadata={"campaign": system})
    content: dict[str, Any] = _without_dates(json.loads(workflow.to_format("json")))
    content["fws"][0]["fw_id"], content["links"] = -1, {"-1": []}  # FireWorks counts new ones through the process
    return content


def write_launchpad_files(directory: Path, *, check: bool = False) -> list[Path]:
    """Write one file for each shipped system; with `check`, only compare.

    Returns
    -------
    list of Path
        Files that were written, or with `check` those that differ from what would be written.
    """
    changed = []
    for system in SYSTEMS:
        path = directory / f"{system}.json"
        text = json.dumps(launchpad_file(system), indent=1, sort_keys=True) + "\n"
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
