"""How an ASE calculator is named, and what of that is its level of theory."""

from hashlib import sha256
from types import SimpleNamespace

import pytest

from lizrcl_flows.documents import Level
from lizrcl_flows.documents.spec import FoundationSpec
from lizrcl_flows.engines import calculators
from lizrcl_flows.engines.calculation import CalculatorError, check_elements, known_numbers
from lizrcl_flows.engines.calculators import CALCULATORS, CalculatorChoice
from lizrcl_flows.engines.dynamics import make_sampler
from lizrcl_flows.engines.labelling.ase import AseLabeller
from lizrcl_flows.engines.relaxation import make_relaxer
from lizrcl_flows.errors import InputError

TOY = "toy_calculator:ToyIonic"


@pytest.fixture
def models(tmp_path, monkeypatch):
    """An empty folder of models, named in the settings; the working directory is another one."""
    folder, elsewhere = tmp_path / "models", tmp_path / "elsewhere"
    folder.mkdir()
    elsewhere.mkdir()
    monkeypatch.setenv("LIZRCL_MODELS_DIR", str(folder))
    monkeypatch.chdir(elsewhere)
    return folder


@pytest.fixture
def everything_installed(monkeypatch):
    monkeypatch.setattr(calculators, "package_version", lambda module: f"{module} 1.0")


def test_level_of_an_import_path_is_what_it_always_was(monkeypatch):
    """Ids of stored labels rest on it, so it is spelt out here."""
    parameters = {"method": "GFN1-xTB", "verbosity": 0}
    version = CalculatorChoice("tblite.ase:TBLite").version()
    spelt_out = Level(
        engine="ase",
        code="tblite.ase:TBLite",
        code_version=version,
        functional="GFN1-xTB",
        parameters=parameters,
        note="not part of the id",
    )
    assert AseLabeller("tblite.ase:TBLite", parameters).level().id == spelt_out.id
    monkeypatch.setattr(calculators, "package_version", lambda _: "0.8.0")
    assert AseLabeller("tblite.ase:TBLite", parameters).level().id == "lev_d4258e2036d64f011116"


def test_short_name_and_import_path_are_one_level():
    given = {"method": "GFN1-xTB", "accuracy": 1.0}
    assert (
        CalculatorChoice("tblite", None, given).level().id
        == CalculatorChoice("tblite.ase:TBLite", None, given).level().id
    )
    assert CalculatorChoice("tblite").level().functional == "GFN1-xTB"
    assert CalculatorChoice("tblite").request()["arguments"] == {"verbosity": 0, "method": "GFN1-xTB"}


def test_all_engines_have_the_same_level(potential):
    spec = FoundationSpec(calculator="nep", file=str(potential), parameters={"skin": 0.5})
    levels = [
        engine.level()
        for engine in (make_relaxer(spec), make_sampler(spec), AseLabeller("nep", {"skin": 0.5}, file=spec.file))
    ]
    assert len({level.id for level in levels}) == 1
    assert levels[0].parameters == {"skin": 0.5}
    assert levels[0].code == "lizrcl_flows.nep:NepCalculator"


def test_level_knows_a_model_by_its_content_wherever_it_lies(models, everything_installed):
    elsewhere = models / "deeper" / "x.model"
    elsewhere.parent.mkdir()
    for path in (models / "x.model", elsewhere):
        path.write_bytes(b"weights")
    level = CalculatorChoice("mace", "x.model").level()
    (model,) = level.potentials
    assert (model.element, model.title, model.sha256) == ("*", "x.model", sha256(b"weights").hexdigest())
    assert level.parameters == {"default_dtype": "float64"}
    assert (level.code, level.code_version) == ("mace.calculators:MACECalculator", "mace 1.0")
    assert CalculatorChoice("mace", str(elsewhere)).level().id == level.id
    assert CalculatorChoice("mace", "deeper/x.model", {"device": "cuda"}).level().id == level.id
    assert CalculatorChoice("mace", "x.model", {"default_dtype": "float32"}).level().id != level.id
    (models / "x.model").write_bytes(b"other weights")
    assert CalculatorChoice("mace", "x.model").level().id != level.id


@pytest.mark.parametrize(
    ("name", "target", "arguments"),
    [
        ("nep", "lizrcl_flows.nep:NepCalculator", {"committee": "FILE"}),
        (
            "mace",
            "mace.calculators:MACECalculator",
            {"model_paths": "FILE", "device": "cpu", "default_dtype": "float64"},
        ),
        ("chgnet", "chgnet.model:CHGNetCalculator.from_file", {"path": "FILE", "use_device": "cpu"}),
        ("sevennet", "sevenn.calculator:SevenNetCalculator", {"model": "FILE", "device": "cpu"}),
    ],
)
def test_a_model_file_becomes_the_right_argument(name, target, arguments, models):
    path = models / "some.model"
    path.touch()
    request = CalculatorChoice(name, "some.model").request()
    assert request["target"] == target
    assert request["arguments"] == {key: str(path) if value == "FILE" else value for key, value in arguments.items()}
    assert request["title"] == f"{name} (some.model)"


def test_models_in_a_package_need_no_file(everything_installed):
    assert CalculatorChoice("chgnet").request()["arguments"] == {"use_device": "cpu"}
    assert CalculatorChoice("chgnet").level().potentials == ()
    named = CalculatorChoice("sevennet", None, {"model": "7net-l3i5"})
    assert named.request()["arguments"] == {"model": "7net-l3i5", "device": "cpu"}
    assert named.level().parameters == {"model": "7net-l3i5"}
    assert named.level().id != CalculatorChoice("sevennet").level().id


def test_a_file_of_the_working_directory_comes_first(models):
    (models / "x.model").write_bytes(b"in the folder of models")
    assert CalculatorChoice("mace", "x.model").model_file() == models / "x.model"
    here = models.parent / "elsewhere" / "x.model"
    here.write_bytes(b"here")
    assert CalculatorChoice("mace", "x.model").model_file() == here


@pytest.mark.parametrize("name", ["mace", "nep"])
def test_a_missing_file_says_where_to_put_which(name, models):
    well_known = {"mace": r"mace-mpa-0-medium.model \(MACE-MPA-0 medium\)", "nep": "nep89_20250409.txt"}[name]
    with pytest.raises(InputError, match=rf"{name} needs a model file: put one, .*{well_known}.*LIZRCL_MODELS_DIR"):
        CalculatorChoice(name).model_file()
    with pytest.raises(InputError, match=rf"'gone.model' is neither in .*elsewhere nor in .*{models}.*{well_known}"):
        CalculatorChoice(name, "gone.model").model_file()


@pytest.mark.parametrize(
    ("name", "module", "package"),
    [
        ("mace", "mace", "mace"),
        ("chgnet", "chgnet", "chgnet"),
        ("sevennet", "sevenn", "sevennet"),
        ("tblite", "tblite", "xtb"),
    ],
)
def test_a_missing_package_says_which_extra(name, module, package, monkeypatch):
    monkeypatch.setattr(calculators, "package_version", lambda _: None)
    words = rf"needs the module '{module}', which is not installed: pip install lizrcl_flows\[{package}\]"
    with pytest.raises(InputError, match=words):
        CalculatorChoice(name).level()
    with pytest.raises(InputError, match=words):
        CalculatorChoice(CALCULATORS[name].path).level()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("emt",), "should be an import path module:Class, such as tblite.ase:TBLite, or one of chgnet, mace, nep"),
        ((TOY, "x.model"), f"calculator {TOY}: file 'x.model' goes with chgnet, mace, nep, sevennet only"),
        (("tblite", "x.model"), "calculator tblite: file 'x.model' goes with"),
        (("mace", None, {"model_paths": "x.model"}), "the model file should be given as `file`, not as 'model_paths'"),
        (("sevennet", "x.pth", {"model": "7net-0"}), "the model file should be given as `file`, not as 'model'"),
        (("sevennet", None, {"model": "7net-omni"}), "does not ship with the package and nothing is downloaded"),
    ],
)
def test_what_cannot_be_is_refused_at_once(arguments, words):
    with pytest.raises(InputError, match=words):
        CalculatorChoice(*arguments)


def test_it_travels_unchanged(round_trips):
    choice = CalculatorChoice("mace", "x.model", {"default_dtype": "float32"})
    assert all(arrived == choice for arrived in round_trips(choice))


@pytest.mark.parametrize(
    ("calculator", "known"),
    [
        (SimpleNamespace(committee=SimpleNamespace(species=("Li", "Cl"))), {3, 17}),
        (SimpleNamespace(z_table=SimpleNamespace(zs=[3, 17]), model=object()), {3, 17}),
        (SimpleNamespace(type_map={3: 0, 17: 1}, model=object()), {3, 17}),
        (
            SimpleNamespace(
                model=SimpleNamespace(atom_embedding=SimpleNamespace(embedding=SimpleNamespace(num_embeddings=17)))
            ),
            set(range(1, 18)),
        ),
        (SimpleNamespace(), None),
    ],
)
def test_elements_are_read_from_what_a_calculator_holds(calculator, known):
    assert known_numbers(calculator) == known
    check_elements(calculator, [3, 17, 3])
    if known:
        words = "the elements from H to Cl" if 1 in known else "Li, Cl"
        with pytest.raises(CalculatorError, match=f"it knows {words}, not O, Zr" if 8 not in known else "not Zr"):
            check_elements(calculator, [40, 8, 3])


def test_an_unknown_element_is_a_failed_label(potential, crystal, tmp_path):
    engine = AseLabeller("nep", file=str(potential))
    assert engine.label(crystal, tmp_path / "known").accepted
    result = engine.label(crystal.revised(numbers=[8, *crystal.numbers[1:]]), tmp_path / "unknown")
    assert not result.accepted
    assert result.reason == "nep (nep.txt) failed: it knows Li, Cl, Zr, not O"


def test_an_element_that_a_potential_lacks_is_said_before_anything_runs(potential):
    choice = CalculatorChoice("nep", file=str(potential))
    choice.require(["Li", "Cl"])
    with pytest.raises(InputError, match=r"nep\.txt: this potential knows Li, Zr, Cl, not O"):
        choice.require(["Li", "O"])
