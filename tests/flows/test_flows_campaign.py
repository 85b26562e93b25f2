"""The whole loop: on one machine and through FireWorks, with the same documents at the end."""

import pytest

from lizrcl_flows.archive.audit import audit
from lizrcl_flows.documents import Campaign, Candidate, Dataset, Evaluation, Generation, Label, Transport
from lizrcl_flows.flows.campaigns import find_campaign, run_campaign, start_campaign

pytestmark = pytest.mark.mongo


def run_here(workplace, campaign):
    return run_campaign(workplace.archive, campaign.id, workplace.job_store, workplace.launches)


def test_a_campaign_runs_here_to_its_end_and_again_changes_nothing(workplace):
    archive = workplace.archive
    campaign = run_here(workplace, workplace.campaign())
    assert campaign.state == "complete"
    generations = list(archive.find(Generation, {}, sort=[("index", 1)]))
    assert [generation.index for generation in generations] == [0, 1]
    first, second = generations
    assert (first.n_labelled, first.n_failed, first.committee_before) == (6, 0, None)
    assert second.n_explored == 2 * (200 // 20)
    n_rejected = sum(count.count for count in second.n_rejected)
    assert second.n_explored == second.n_accurate + n_rejected + second.n_candidates
    assert second.n_selected == second.n_labelled == archive.count(Candidate, {"verdict": "selected"}) == 3
    assert second.evaluation_before == first.evaluation_after
    assert second.evaluation_after not in (None, second.evaluation_before)
    assert campaign.labels_spent == archive.count(Label, {}) == 6 + 3 + 3
    assert archive.get(Dataset, second.dataset).n_labels == 9
    kinds = [evaluation.kind for evaluation in archive.find(Evaluation, {})]
    assert sorted(kinds) == ["fresh", "holdout", "holdout", "train", "train"]
    before = workplace.ids()
    run_here(workplace, campaign)
    assert workplace.ids() == before


def test_every_number_leads_back_to_every_label(workplace):
    archive = workplace.archive
    run_here(workplace, workplace.campaign(selection={"engine": "environments", "n_structures": 3}))
    chosen = list(archive.find(Candidate, {"verdict": "selected"}))
    assert len(chosen) == 3
    assert all(candidate.score for candidate in chosen)
    transport = next(iter(archive.find(Transport, {"protocol": "gls_blocks"})))
    assert transport.status in ("resolved", "not_resolved", "not_diffusive")
    above = {relative.id for relative in archive.lineage.ancestors(transport.id)}
    trained = {label.id for label in archive.find(Label, {"purpose": "train"})}
    assert trained <= above
    report = audit(archive)
    assert report.findings == []


def test_fireworks_makes_the_same_documents(workplace, tmp_path_factory):
    archive = workplace.archive
    campaign = workplace.campaign()
    report = start_campaign(archive, campaign.id)
    assert (report.turn, report.submitted) == (0, True)
    assert not start_campaign(archive, campaign.id).submitted
    workplace.finish()
    assert find_campaign(archive, "small").state == "complete"
    through_fireworks = workplace.ids()
    queue = archive.connection
    assert queue["workflows"].count_documents({}) == 3
    assert queue["fireworks"].count_documents({"spec._category": {"$exists": False}}) == 0
    assert queue["fireworks"].count_documents({"state": {"$ne": "COMPLETED"}}) == 0
    archive.connection.client.drop_database(archive.database_name)
    archive.init()
    run_here(workplace, workplace.campaign())
    assert workplace.ids() == through_fireworks


def test_failed_labels_are_documents_and_the_loop_goes_on(workplace):
    archive = workplace.archive
    campaign = run_here(workplace, workplace.campaign(level={"misbehave": "not_converged", "below_a": 2.05}))
    failed = list(archive.find(Label, {"status": "failed"}))
    accepted = archive.count(Label, {"status": "accepted"})
    assert failed
    assert accepted
    assert all(label.reason and label.energy is None for label in failed)
    assert campaign.state == "complete", [generation.stalled_reason for generation in archive.find(Generation, {})]
    counted = sum(generation.n_failed for generation in archive.find(Generation, {}))
    assert counted == archive.count(Label, {"status": "failed", "purpose": "train"})


def test_a_campaign_without_any_label_stalls_and_says_why(workplace):
    campaign = run_here(workplace, workplace.campaign(level={"misbehave": "not_converged"}))
    assert campaign.state == "stalled"
    generation = next(iter(workplace.archive.find(Generation, {})))
    assert "none of the 6 labels of generation 0 was accepted" in generation.stalled_reason
    assert workplace.archive.get(Campaign, campaign.id).state == "stalled"


def test_the_budget_of_labels_is_never_exceeded(workplace):
    campaign = run_here(workplace, workplace.campaign(budget={"labels": 11}, max_generations=5))
    assert workplace.archive.count(Label, {}) == 11
    assert campaign.labels_spent == 11
    assert campaign.state == "complete"
