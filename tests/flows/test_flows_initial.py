"""From a system file to the labelled data set of generation 0: ordered, relaxed, built, sampled, chosen, labelled."""

import json
import signal
import subprocess
import time

import numpy as np
import pytest

from lizrcl_flows.archive.audit import audit
from lizrcl_flows.documents import Campaign, Candidate, Dataset, Generation, Label, Level, Structure, Trajectory
from lizrcl_flows.errors import InputError
from lizrcl_flows.flows.campaigns import find_campaign, new_campaign, run_campaign, run_initial, start_campaign
from lizrcl_flows.science.interfaces.build import sides
from lizrcl_flows.science.structures import load_structure

pytestmark = pytest.mark.mongo

FOUNDATION = {"calculator": "toy_calculator:ToyIonic", "fmax_ev_per_a": 0.5, "smax_gpa": 1.0, "max_steps": 80}
RICH = {
    "phases": [
        {"name": "ideal", "structure": "Li2ZrCl6_ideal_P-31c", "relaxed": True},
        {"name": "alpha", "structure": "Li2ZrCl6_alpha_P-3m1_partial", "ordering": {"n_relaxed": 2}},
        {"name": "cubic", "structure": "ZrO2_cubic_Fm-3m", "explored": False},
    ],
    "elements": ["Li", "Zr", "Cl", "O"],
    "interfaces": [
        {
            "film": "cubic",
            "substrate": "ideal",
            "max_area_a2": 40.0,
            "n_orientations": 1,
            "n_built": 2,
            "n_kept": 2,
            "thickness_a": 5.0,
        }
    ],
    "foundation": FOUNDATION,
    "initial": {
        "n_structures": 6,
        "n_perturbed": 5,
        "n_holdout": 2,
        "sampling": {
            "conditions": [
                {"ensemble": "nvt", "temperature_k": 300},
                {"ensemble": "npt", "temperature_k": 600, "pressure_gpa": 0.0001},
            ],
            "steps": 20,
            "sample_every": 5,
        },
        "selection": {"engine": "clusters", "soap": "fast"},
    },
    "production": [],
    "max_generations": 1,
}
FIRST: dict[str, dict[str, list[str]]] = {}
"""What the undisturbed flow makes, for comparison with the disturbed ones."""


def run_here(workplace, campaign):
    return run_initial(workplace.archive, campaign.id, workplace.job_store, workplace.launches)


def test_everything_that_the_campaign_file_asks_for_is_made(workplace):
    archive = workplace.archive
    campaign = run_here(workplace, workplace.campaign(**RICH))

    assert set(campaign.prepared) == {"ideal", "alpha", "cubic-ideal.1", "cubic-ideal.2"}
    assert campaign.explored_phases() == ["ideal", "alpha", "cubic-ideal.1"]
    alpha = archive.get(Structure, campaign.prepared["alpha"])
    facts = alpha.origin.parameters
    assert (facts["n_raw"], facts["n_unique"], facts["energy_rank"], facts["n_relaxed"]) == (924, 96, 0, 2)
    assert {"multiplicity", "ewald_rank", "level", "converged"} <= set(facts)
    ranked = list(archive.find(Structure, {"phase": "alpha", "origin.kind": "relaxed"}))
    energies = [next(iter(archive.find(Label, {"structure": cell.id, "purpose": "ranking"}))).energy for cell in ranked]
    assert alpha.id == ranked[int(np.argmin(energies))].id
    interface = archive.get(Structure, campaign.prepared["cubic-ideal.1"])
    assert (interface.chemical_system, interface.region) == ("Cl-Li-O-Zr", "interface")
    assert interface.origin.parameters["interface_energy_j_per_m2"] is None  # the oxide was not relaxed: no reference
    assert set(sides(interface)) == {0, 1}
    built = archive.get(Structure, interface.parents[0])
    assert built.origin.kind == "interface"
    bulk = {archive.get(Structure, name).phase for name in built.parents}
    assert bulk == {"cubic", "ideal"}

    runs = list(archive.find(Trajectory, {}))
    assert len(runs) == 4 * 2
    assert {run.purpose for run in runs} == {"sampling"}
    level = archive.get(Level, runs[0].level)
    assert level.code == "toy_calculator:ToyIonic"
    pool = list(archive.find(Candidate, {}))
    assert len(pool) == 5 + sum(run.n_frames for run in runs)
    chosen = [candidate for candidate in pool if candidate.verdict == "selected"]
    assert len(chosen) == 6
    assert all(candidate.map_xy is not None and candidate.score is not None for candidate in chosen)
    assert {candidate.eps for candidate in pool} == {None}

    train = archive.get(Dataset, next(iter(archive.find(Dataset, {"split": "train"}))).id)
    labels = archive.get_many(Label, list(train.added))
    assert {label.structure for label in labels} == {candidate.structure for candidate in chosen}
    assert campaign.labels_spent == 6 + 2  # energies that rank are no labels of the campaign's budget
    above = {relative.id for relative in archive.lineage.ancestors(train.id)}
    frames = [candidate.trajectory for candidate in chosen if candidate.trajectory]
    assert frames
    assert set(frames) <= above
    assert runs[0].level in above
    assert audit(archive).findings == []

    FIRST["ids"] = workplace.ids()
    run_here(workplace, campaign)
    assert workplace.ids() == FIRST["ids"]


def wait_until(condition, process, log, timeout=200):
    deadline = time.monotonic() + timeout
    while not condition():
        assert process.poll() is None, log.read_text()[-3000:]
        assert time.monotonic() < deadline
        time.sleep(0.02)


def relaxing(workplace):
    """Tell whether a relaxation is at work: its program writes its steps."""
    return any(workplace.directory.glob("data/work/*/*/*/steps.txt"))


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_fireworks_makes_the_same_documents_though_its_worker_is_killed_and_the_loop_goes_on(workplace):
    archive = workplace.archive
    if not FIRST:  # chosen alone, without the test before
        run_here(workplace, workplace.campaign(**RICH))
        FIRST["ids"] = workplace.ids()
        archive.connection.client.drop_database(archive.database_name)
        archive.init()
    start_campaign(archive, workplace.campaign(**RICH).id)
    worker = workplace.rlaunch()
    wait_until(lambda: relaxing(workplace), worker, workplace.directory / "rlaunch.log")
    worker.send_signal(signal.SIGKILL)
    worker.wait()
    time.sleep(1.1)
    workplace.lpad("detect_lostruns", "--time", "1", "--rerun", "--refresh")
    workplace.finish()
    assert find_campaign(archive, "small").state == "complete"
    for collection in ("structures", "labels", "trajectories", "candidates", "datasets", "levels"):
        assert set(FIRST["ids"][collection]) <= set(workplace.ids()[collection]), collection
    generations = list(archive.find(Generation, {}, sort=[("index", 1)]))
    assert [generation.index for generation in generations] == [0, 1]
    assert generations[0].n_explored == archive.count(Candidate, {"generation": 0})
    assert generations[0].n_selected == generations[0].n_labelled == 6
    assert len(generations[0].selection_radii) == 6
    explored = {run.phase for run in archive.find(Trajectory, {"purpose": "exploration"})}
    assert explored == {"ideal", "alpha", "cubic-ideal"}
    assert archive.count(Dataset, {"generation": 0}) == 2
    assert audit(archive).findings == []


def test_killed_and_called_again_the_command_ends_the_same(workplace, programs):
    archive = workplace.archive
    initial = {"n_structures": 3, "n_holdout": 1}
    wish = {"phases": [RICH["phases"][1]], "foundation": FOUNDATION, "initial": initial, "production": []}
    campaign = workplace.campaign(**wish)
    command = [str(programs / "lizrcl"), "campaign", "initial", "small"]
    log = workplace.directory / "initial.log"
    with log.open("a") as stream:
        process = subprocess.Popen(command, stdout=stream, stderr=subprocess.STDOUT)
    wait_until(lambda: relaxing(workplace), process, log)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not archive.count(Dataset, {})
    again = subprocess.run([*command, "--json"], capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr
    told = json.loads(again.stdout)
    assert told["datasets"]["train"]["n_labels"] == 3
    assert [cell["made_by"] for cell in told["cells"]] == ["relaxed"]
    resumed = workplace.ids()
    archive.connection.client.drop_database(archive.database_name)
    archive.init()
    run_here(workplace, workplace.campaign(**wish))
    assert workplace.ids() == resumed
    assert find_campaign(archive, "small").id == campaign.id


def test_without_a_wish_the_phases_are_perturbed_and_no_more(workplace):
    archive = workplace.archive
    campaign = run_here(workplace, workplace.campaign())
    assert campaign.prepared == {}
    assert archive.count(Candidate, {}) == archive.count(Trajectory, {}) == 0
    kinds = {cell.origin.kind for cell in archive.find(Structure, {})}
    assert kinds == {"bundled", "perturbed"}
    assert archive.count(Label, {}) == 6 + 3


def test_a_larger_pool_is_chosen_from_without_any_dynamics(workplace):
    archive = workplace.archive
    initial = {"n_structures": 4, "n_perturbed": 12, "n_holdout": 2, "selection": {"engine": "farthest_point"}}
    run_here(workplace, workplace.campaign(initial=initial))
    verdicts = [candidate.verdict for candidate in archive.find(Candidate, {})]
    assert sorted(verdicts) == ["selected"] * 4 + ["spare"] * 8
    assert archive.count(Label, {"purpose": "train"}) == 4


def test_a_missing_model_file_is_named_before_anything_runs(workplace):
    archive = workplace.archive
    foundation = {"calculator": "nep", "file": "absent/nep.txt"}
    campaign = workplace.campaign(**{**RICH, "foundation": foundation})
    for begin in (lambda: run_here(workplace, campaign), lambda: start_campaign(archive, campaign.id)):
        with pytest.raises(InputError, match=r"absent/nep\.txt"):
            begin()
    assert archive.count(Structure, {"origin.kind": "relaxed"}) == 0
    assert archive.connection["workflows"].count_documents({}) == 0


def test_a_phase_that_wants_relaxing_needs_a_foundation(workplace):
    with pytest.raises(InputError, match="phases: ideal: relaxed needs the section 'foundation'"):
        workplace.campaign(phases=RICH["phases"])


def test_the_starting_cell_of_an_ordered_phase_is_its_lowest_ewald_ordering(workplace):
    campaign = workplace.campaign(phases=[RICH["phases"][1]])
    cell = workplace.archive.get(Structure, workplace.archive.get(Campaign, campaign.id).phases["alpha"])
    assert cell.origin.parameters["ewald_rank"] == 0
    assert cell.n_atoms == load_structure("Li2ZrCl6_alpha_ordered").n_atoms == 27


def test_a_campaign_begins_with_imported_labels(workplace, programs):
    def lizrcl(*words):
        done = subprocess.run([programs / "lizrcl", *words], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    archive = workplace.archive
    first = workplace.campaign("first", production=[], max_generations=1)
    run_initial(archive, first.id, workplace.job_store, workplace.directory / "jobs")
    (training,) = archive.find(Dataset, {"split": "train"})
    exported = lizrcl("dataset", "export", training.id, "-o", workplace.directory / "exported").split()[0]
    other = workplace.campaign("other", level={"delay_s": 0.01}, production=[])
    told = json.loads(lizrcl("dataset", "import", exported, "--json"))["datasets"][0]
    assert told["level"]["id"] == training.level
    initial = other.spec.initial.model_copy(update={"datasets": (told["dataset"],)})
    with pytest.raises(InputError, match="is of another level of theory: its parameters is"):
        new_campaign(archive, other.spec.model_copy(update={"name": "third", "initial": initial}))

    initial = first.spec.initial.model_copy(update={"datasets": (told["dataset"],), "n_structures": 0})
    spec = first.spec.model_copy(update={"name": "second", "initial": initial})
    second = new_campaign(archive, spec)
    ended = run_campaign(archive, second.id, workplace.job_store, workplace.directory / "jobs")
    assert ended.state == "complete"
    chain = list(archive.find(Dataset, {"campaign": "second", "split": "train"}, sort=[("generation", 1)]))
    assert chain[0].parent == told["dataset"]
    assert archive.count(Label, {"campaign": "second", "generation": 0}) == 0  # the hold-out is that of the first
    assert set(archive.dataset_labels(training.id)) <= set(archive.dataset_labels(chain[0].id))
    assert audit(archive).ok
