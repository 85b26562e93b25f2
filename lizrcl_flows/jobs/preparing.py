"""Jobs of generation 0 that make its cells: partial occupancies ordered, crystals relaxed, interfaces built and ranked.

What one job has made is an event of the campaign, named by the phase or the pair; the last job puts them together in
the campaign's field `prepared`. All of it may run twice.
"""

from typing import Any

from jobflow import Flow, Response, job

from lizrcl_flows.archive import Archive
from lizrcl_flows.documents import Campaign, Structure
from lizrcl_flows.documents.campaigns import CRYSTALS, PREPARED
from lizrcl_flows.documents.spec import CampaignSpec, PhaseSpec
from lizrcl_flows.engines.relaxation.base import Relaxer
from lizrcl_flows.errors import NotFoundError
from lizrcl_flows.jobs.context import open_archive, provenance, work_directory
from lizrcl_flows.jobs.pairing import paired
from lizrcl_flows.jobs.relaxing import relax_all, store_relaxed
from lizrcl_flows.jobs.routing import Category, in_category
from lizrcl_flows.science.orderings import keep_lowest
from lizrcl_flows.science.structures import supercell


@job
def prepare_phases(campaign_id: str, relaxer: Relaxer | None) -> Any:
    """Fan out: one job for each phase whose crystal is ordered or relaxed before it is used."""
    with open_archive() as archive:
        spec = archive.get(Campaign, campaign_id).spec
    jobs = [
        in_category(prepare_phase(campaign_id, phase.name, relaxer), _category(relaxer), f"prepare {phase.name}")
        for phase in spec.phases
        if phase.ordering or phase.relaxed
    ]
    return Response(output=campaign_id, detour=Flow(jobs, name="prepare phases") if jobs else None)


@job
def prepare_phase(campaign_id: str, name: str, relaxer: Relaxer | None) -> dict[str, str]:
    """Order and relax the crystal of a phase; return the ids of the crystal and of its supercell."""
    with open_archive() as archive:
        campaign = archive.get(Campaign, campaign_id)
        made = _made(archive, campaign, name)
        if made is None:
            phase = next(entry for entry in campaign.current.phases if entry.name == name)
            crystal = _crystal(archive, campaign, phase, relaxer)
            cell = supercell(crystal, phase.supercell)
            if cell.id != crystal.id:
                archive.put(_of(campaign, cell.revised(parents=(crystal.id,))))
            made = {"crystal": crystal.id, "cell": cell.id}
            _record(archive, campaign, name, made)
        return made


@job
def prepare_interfaces(campaign_id: str, relaxer: Relaxer | None) -> Any:
    """Fan out: one job for each pair of phases whose interfaces the campaign file asks for."""
    with open_archive() as archive:
        spec = archive.get(Campaign, campaign_id).spec
    jobs = [
        in_category(
            prepare_interface(campaign_id, number, relaxer),
            _category(relaxer),
            f"interfaces {pair.film} {pair.substrate}",
        )
        for number, pair in enumerate(spec.interfaces)
    ]
    return Response(output=campaign_id, detour=Flow(jobs, name="prepare interfaces") if jobs else None)


@job
def prepare_interface(campaign_id: str, number: int, relaxer: Relaxer | None) -> dict[str, str]:
    """Search, build, relax and rank the interfaces of one pair of phases; return the ids of those kept, by name."""
    with open_archive() as archive:
        campaign = archive.get(Campaign, campaign_id)
        pair = campaign.current.interfaces[number]
        made = _made(archive, campaign, pair.title)
        if made is None:
            film, substrate = (crystal_of(archive, campaign, side) for side in (pair.film, pair.substrate))
            kept = paired(archive, campaign, pair, (film, substrate), relaxer)
            made = {f"{pair.title}.{place + 1}": cell.id for place, cell in enumerate(kept)}
            _record(archive, campaign, pair.title, made)
        return made


@job
def finish_preparation(campaign_id: str) -> str:
    """Put together what the jobs before have made; from now on the campaign works with these cells."""
    with open_archive() as archive:
        campaign = archive.get(Campaign, campaign_id)
        cells: dict[str, str] = {}
        for phase in campaign.current.phases:
            made = _made(archive, campaign, phase.name)
            if made is not None:
                cells[phase.name] = made["cell"]
        for pair in campaign.current.interfaces:
            cells |= _made(archive, campaign, pair.title) or {}
        why = f"{len(cells)} cells ordered, relaxed or built"
        archive.record_event(campaign_id, "state", field=PREPARED, value=cells, why=why, key=PREPARED)
        return campaign_id


def needs_preparation(spec: CampaignSpec) -> bool:
    """Tell whether a campaign has cells to make before it can begin."""
    return bool(spec.interfaces) or any(phase.ordering or phase.relaxed for phase in spec.phases)


def crystal_of(archive: Archive, campaign: Campaign, name: str) -> Structure:
    """Return the crystal of a phase without its supercell: as prepared, or as it begins."""
    made = _made(archive, campaign, name)
    return archive.get(Structure, made["crystal"]) if made is not None else _starts(archive, campaign, name)[0]


def _crystal(archive: Archive, campaign: Campaign, phase: PhaseSpec, relaxer: Relaxer | None) -> Structure:
    """Return the crystal of a phase: relaxed, and of several orderings the one of lowest energy."""
    starts = _starts(archive, campaign, phase.name)
    if relaxer is None:
        return starts[0]
    level_id = archive.put(relaxer.level())
    with work_directory(f"{campaign.id}-{phase.name}") as directory:
        ended = relax_all(starts, relaxer, directory)
        ranked = keep_lowest(
            [start for start, _ in ended],
            [result.energy for _, result in ended],
            len(ended),
            relaxed=[result.structure for _, result in ended],
        )
        results = {result.structure.id: result for _, result in ended}
        stored = [store_relaxed(archive, campaign, level_id, cell, results[cell.id]) for cell in ranked]
    return stored[0]


def _starts(archive: Archive, campaign: Campaign, name: str) -> list[Structure]:
    """Return the crystals that a phase begins with, as they were stored with the campaign."""
    wanted = f"{campaign.id}/{CRYSTALS}/{name}"
    found: Any = next((event.value for event in archive.events(campaign.id) if event.id == wanted), None)
    if found is None:
        raise NotFoundError(f"campaign {campaign.name} has no crystal of phase '{name}' stored")
    return archive.get_many(Structure, found[name])


def _made(archive: Archive, campaign: Campaign, title: str) -> dict[str, str] | None:
    """Return what an earlier call has made under a title, or None."""
    wanted = f"{campaign.id}/{PREPARED}/{title}"
    found = next((event.value for event in archive.events(campaign.id) if event.id == wanted), None)
    return {str(name): str(value) for name, value in found.items()} if isinstance(found, dict) else None


def _record(archive: Archive, campaign: Campaign, title: str, made: dict[str, str]) -> None:
    key = f"{PREPARED}/{title}"
    archive.record_event(campaign.id, PREPARED, value=made, why=f"{title} prepared", key=key)


def _of(campaign: Campaign, structure: Structure) -> Structure:
    return structure.revised(campaign=campaign.name, generation=0, provenance=provenance())


def _category(relaxer: Relaxer | None) -> Category:
    """Relaxation is work for a worker with an accelerator; without it there is only geometry."""
    return "cpu" if relaxer is None else "gpu"
