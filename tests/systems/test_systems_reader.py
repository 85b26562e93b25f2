"""Campaign files: defaults, overrides, and one sentence for every mistake."""

import math
from itertools import product
from pathlib import Path

import pytest

from lizrcl_flows.documents import Campaign
from lizrcl_flows.documents.spec import ProductionSpec
from lizrcl_flows.errors import InputError, NotFoundError
from lizrcl_flows.science.phases import starting_structures
from lizrcl_flows.systems import load_campaign, system_names


def campaign(**overrides):
    return load_campaign({"name": "test", "system": "demo", **overrides})


@pytest.mark.parametrize("name", system_names())
def test_shipped_systems_are_valid(name):
    spec = load_campaign({"name": "test", "system": name})
    assert spec.system == name


def test_the_study_keeps_the_numbers_of_the_paper():
    spec = load_campaign({"name": "test", "system": "zro2_li2zrcl6"})
    assert spec.screening.eps_lo == 0.3
    assert spec.screening.geometry_factor == 0.7
    assert (spec.training.cutoff_radial_a, spec.training.cutoff_angular_a) == (6.0, 5.0)
    assert (spec.training.neurons, spec.training.zbl_a, spec.training.steps) == (50, 1.2, 100000)
    assert (spec.labelling.parameters["ENCUT"], spec.labelling.parameters["KSPACING"]) == (550, 0.3)
    assert {condition.temperature_k for condition in spec.exploration.conditions} >= {300.0, 3000.0, 600.0, 1500.0}


def test_the_study_names_its_materials():
    spec = load_campaign({"name": "test", "system": "zro2_li2zrcl6"})
    assert len(spec.phases) == 8
    assert [phase.name for phase in spec.phases if not phase.explored] == ["beta"]
    assert {phase.name for phase in spec.phases if phase.ordering} == {"alpha", "beta"}
    oxides = ("cubic", "tetragonal", "monoclinic", "Pca21", "Pbca")
    assert {(pair.film, pair.substrate) for pair in spec.interfaces} == set(product(oxides, ("ideal", "alpha")))
    assert (spec.initial.n_structures, spec.initial.n_holdout) == (4931, 270)
    sampling = spec.initial.sampling
    assert [condition.temperature_k for condition in sampling.conditions] == [300, 900, 1500, 2000]
    assert sampling.steps * sampling.time_step_fs == 100_000
    assert sampling.sample_every * sampling.time_step_fs == 500
    assert spec.foundation.calculator == "mace"


def test_the_example_of_the_documentation_is_a_campaign_file():
    spec = load_campaign(Path(__file__).parents[2] / "docs" / "first_training_set.yaml")
    assert (spec.foundation.calculator, spec.initial.selection.engine) == ("tblite", "clusters")


def test_a_model_file_that_lies_here_is_named_by_its_whole_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nep.txt").touch()
    here, elsewhere = (campaign(foundation={"calculator": "nep", "file": name}) for name in ("nep.txt", "nep89.txt"))
    assert here.foundation.file == str(tmp_path / "nep.txt")
    assert elsewhere.foundation.file == "nep89.txt"


def test_overrides_replace_leaves_and_whole_lists():
    spec = campaign(screening={"eps_lo": 0.2}, exploration={"conditions": [{"ensemble": "nvt", "temperature_k": 300}]})
    assert spec.screening.eps_lo == 0.2
    assert spec.screening.eps_hi == campaign().screening.eps_hi
    assert len(spec.exploration.conditions) == 1


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (
            {"phases": [{"name": "ideal", "structure": "Li2ZrCl6_ideal_P-31c", "explored": False}], "production": []},
            r"phases: none of \['ideal'\] is explored, so there is nothing to train on",
        ),
        (
            {"interfaces": [{"film": "cubic", "substrate": "ideal"}]},
            r"interfaces: phase 'cubic' is none of \['ideal', 'alpha'\]",
        ),
        ({"explorations": {}}, "unknown key 'explorations'; did you mean 'exploration'?"),
        ({"exploration": {"stepz": 3}}, "unknown key 'exploration.stepz'; did you mean 'steps'?"),
        ({"screening": {"eps_lo": "0.3 eV"}}, r"screening.eps_lo: '0.3 eV' is not accepted: .*\(unit: eV/A\)"),
        ({"selection": {"engine": "best"}}, "selection.engine: 'best' is not accepted"),
        ({"screening": {"eps_hi": 0.1}}, "eps_hi must be larger than eps_lo"),
        (
            {"exploration": {"active_every": 50}, "screening": {"mode": "adaptive"}},
            "exploration: active_every stores only frames above screening.eps_lo, but screening.mode 'adaptive' needs",
        ),
        (
            {"exploration": {"active_every": 50}, "selection": {"random_share": 0.1}},
            "but selection.random_share needs all of them; leave active_every out, or that",
        ),
        ({"production": [{"phase": "beta", "temperature_k": 300, "steps": 3}]}, "phase 'beta' is none of"),
        (
            {"validation": {"hops": [{"phase": "beta", "atom": 0, "vacancy": 1}]}},
            "validation.hops: phase 'beta' is none of",
        ),
        (
            {"exploration": {"conditions": [{"ensemble": "nvt", "temperature_k": "hot"}]}},
            r"exploration.conditions.0.temperature_k: 'hot' is not accepted: .*\(unit: K\)",
        ),
    ],
)
def test_mistakes_get_one_sentence(overrides, sentence):
    with pytest.raises(InputError, match=sentence) as caught:
        campaign(**overrides)
    assert "\n" not in str(caught.value)


def test_files_are_named_in_the_sentence(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("name: x\nsystem: demo\n  bad: [\n")
    with pytest.raises(InputError, match=r"mine.yaml: line 3: this is not YAML"):
        load_campaign(path)
    path.write_text("name: x\n")
    with pytest.raises(InputError, match="key 'system' is missing"):
        load_campaign(path)
    with pytest.raises(NotFoundError, match="does not exist"):
        load_campaign(tmp_path / "none.yaml")
    with pytest.raises(NotFoundError, match="neither a shipped one"):
        load_campaign({"name": "x", "system": "unobtainium"})


def test_another_engine_does_not_inherit_the_settings_of_the_one_it_replaces():
    spec = load_campaign({"name": "x", "system": "demo", "labelling": {"engine": "cp2k", "functional": "PBE"}})
    assert spec.labelling.parameters == {}
    assert (spec.labelling.calculator, spec.labelling.note, spec.labelling.batch_size) == ("", "", 4)
    other = load_campaign({"name": "x", "system": "demo", "labelling": {"calculator": "chgnet"}})
    assert (other.labelling.engine, other.labelling.parameters) == ("ase", {})
    same = {"calculator": "tblite.ase:TBLite", "parameters": {"accuracy": 0.1}}
    kept = load_campaign({"name": "x", "system": "demo", "labelling": same}).labelling
    assert kept.parameters["method"] == "GFN1-xTB"
    assert kept.parameters["accuracy"] == 0.1
    sampler = {"calculator": "chgnet"}
    foundation = load_campaign({"name": "x", "system": "zro2_li2zrcl6", "foundation": sampler}).foundation
    assert foundation.file is None
    assert foundation.fmax_ev_per_a == 0.02


def test_the_study_s_production_has_its_cells_temperatures_and_lengths():
    spec = load_campaign({"name": "test", "system": "zro2_li2zrcl6"})
    atoms = {name: cell.n_atoms for name, cell in starting_structures(spec).items()}
    runs = ProductionSpec.runs(spec.production)
    sizes = {run.phase: atoms.get(run.phase, 0) * math.prod(run.supercell) for run, _ in runs}
    assert {phase: sizes[phase] for phase in ("alpha", "beta", "ideal")} == {"alpha": 3888, "beta": 2592, "ideal": 2592}
    for run, temperature_k in runs:
        length_ns = run.steps * run.time_step_fs * 1e-6
        if run.phase.startswith("study-"):
            assert (length_ns, run.sample_every * run.time_step_fs) == (20.0, 10_000)
        else:
            assert length_ns == (5.0 if temperature_k <= 500 else 2.0)
        assert (run.ensemble, run.pressure_gpa, run.correct_velocity_every) == ("npt", 1e-4, 10)
        assert (run.piece_steps % run.sample_every, run.steps % run.piece_steps) == (0, 0)
    assert {t for run, t in runs if run.phase == "study-1"} == {300.0, 400.0, 500.0}
    assert (min(t for _, t in runs), max(t for _, t in runs)) == (300.0, 700.0)


RUN = {"phase": "alpha", "steps": 1000, "sample_every": 100}


def test_production_that_says_nothing_new_is_the_production_of_before():
    """An entry with one temperature has the id and the run that it had before several could be named."""
    old, new = ({**RUN, "temperature_k": 500}, {**RUN, "temperatures_k": [500]})
    before, after = (Campaign(name="t", spec=campaign(production=[entry]), phases={}) for entry in (old, new))
    content = ProductionSpec(**old)
    later = {name: ProductionSpec.model_fields[name].get_default() for name in ProductionSpec.added_later}
    assert ProductionSpec(**old, **later) == content
    assert before.id == Campaign(name="t", spec=campaign(production=[{**old, **later}]), phases={}).id != after.id
    assert [t for _, t in ProductionSpec.runs(before.spec.production)] == [500.0]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "either temperature_k or temperatures_k"),
        ({"temperature_k": 300, "temperatures_k": [400]}, "either temperature_k or temperatures_k"),
        ({"temperatures_k": [400, 400]}, r"temperatures_k names a temperature twice: \[400.0, 400.0\]"),
        ({"temperatures_k": [0]}, "above 0 K"),
        ({"temperature_k": 300, "heating_steps": 10}, "heating_steps needs equilibration_temperature_k"),
        ({"temperature_k": 300, "piece_steps": 50}, "piece_steps 50 is less than sample_every 100"),
        ({"temperature_k": 300, "correct_velocity_every": 5}, "5 is not accepted, accepted: 0, or 10 at least"),
        ({"temperature_k": 300, "phase": "study-5"}, r"phase 'study-5' is none of \['ideal', 'alpha'\]"),
    ],
)
def test_a_production_run_that_cannot_be_is_a_sentence(changes, words):
    with pytest.raises(InputError, match=words):
        campaign(production=[{**RUN, **changes}])
