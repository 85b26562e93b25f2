"""nep.in: defaults, bounds, what every release reads the same, and sentences for mistakes."""

from dataclasses import fields

import pytest

from lizrcl_flows.errors import InputError
from lizrcl_flows.nep import NepIn, read_nep_in, write_nep_in
from lizrcl_flows.nep.nep_in import format_nep_in
from lizrcl_flows.nep.nep_in_parsing import parse_nep_in

PAPER = NepIn(
    ("Li", "Zr", "Cl", "O"),
    cutoff=((6.0, 5.0),),
    n_max=(8, 8),
    basis_size=(12, 12),
    neuron=50,
    zbl=1.2,
    lambda_1=0.05,
    lambda_2=0.05,
    batch=1000,
    generation=200_000,
)


def test_defaults_are_those_of_gpumd():
    settings = parse_nep_in("type 2 Zr O\n")
    assert settings == NepIn(("Zr", "O"))
    assert settings.header().n_descriptors == 7 + 7 * 5
    assert settings.cutoff == ((8.0, 4.0),)
    assert (settings.batch, settings.population, settings.generation) == (1000, 50, 100_000)
    assert (settings.lambda_e, settings.lambda_f, settings.lambda_v, settings.lambda_shear) == (1.0, 1.0, 0.1, 1.0)


def test_automatic_regularisation():
    settings = NepIn(("Li", "Zr", "Cl", "O"), n_max=(4, 4), basis_size=(8, 8))
    assert settings.regularisation() == pytest.approx(((1e-6 * 5281 / 4) ** 0.5,) * 2)
    assert NepIn(("Li",), lambda_1=0.0).regularisation()[0] == 0.0


def test_what_is_written_reads_back(tmp_path):
    write_nep_in(tmp_path / "nep.in", PAPER)
    again = read_nep_in(tmp_path / "nep.in")
    for field in fields(NepIn):
        expected = getattr(PAPER, field.name)
        assert getattr(again, field.name) == (expected or (1.0,) * 4 if field.name == "type_weight" else expected)
    assert again.header() == PAPER.header()


def test_every_setting_survives():
    settings = NepIn(
        ("Zr", "O"),
        version=3,
        prediction=1,
        cutoff=((6.0, 5.0), (5.5, 4.0)),
        n_max=(3, 2),
        basis_size=(5, 4),
        l_max=6,
        four_body=False,
        five_body=True,
        neuron=17,
        lambda_1=0.01,
        lambda_2=0.02,
        lambda_e=0.5,
        lambda_f=2.0,
        lambda_v=0.0,
        lambda_shear=3.0,
        force_delta=1.5,
        type_weight=(1.0, 2.5),
        batch=7,
        full_batch=True,
        population=40,
        generation=1234,
        zbl=2.0,
        use_typewise_cutoff_zbl=0.65,
        initial_para=0.5,
        sigma0=0.05,
        output_descriptor=2,
        save_potential=(500, 0, 1),
        output_interval=10,
        import_q_scaler=1,
    )
    assert all(getattr(settings, field.name) != field.default for field in fields(NepIn))
    assert parse_nep_in(format_nep_in(settings)) == settings


def test_hyper_parameters_are_explicit_and_portable():
    text = format_nep_in(NepIn(("Zr", "O")))
    keywords = [line.split()[0] for line in text.splitlines()]
    for keyword in (
        "type",
        "version",
        "cutoff",
        "n_max",
        "basis_size",
        "l_max",
        "neuron",
        "lambda_1",
        "lambda_2",
        "batch",
    ):
        assert keyword in keywords
    assert keywords.index("type") < keywords.index("cutoff") < keywords.index("type_weight")
    assert "l_max 4 2 0" in text.splitlines()
    assert not {"output_interval", "import_q_scaler", "save_potential", "zbl"} & set(keywords)


def test_gpumds_habits_are_understood():
    text = """
    # a comment
    type 2 Te Pb   # types
    mode 0
    cutoff 8 4
    cutoff 6 4     # the later one counts
    l_max 4 1
    batch 25
    use_typewise_cutoff_zbl
    zbl 2
    """
    settings = parse_nep_in(text)
    assert settings.cutoff == ((6.0, 4.0),)
    assert (settings.four_body, settings.five_body) == (True, False)
    assert settings.use_typewise_cutoff_zbl == 0.7
    assert parse_nep_in("type 1 C\nl_max 4 0\n").four_body is False
    assert parse_nep_in("type 1 C\nl_max 4 2 1\n").five_body is True


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("generaton 100", "line 2: 'generaton' is not a keyword; did you mean 'generation'"),
        ("xyzzy 100", "line 2: 'xyzzy' is not a keyword; accepted are type"),
        ("fine_tune nep.txt nep.restart", "line 2: 'fine_tune' is not supported"),
        ("charge_mode 1", "line 2: 'charge_mode' is not supported"),
        ("version 5", "line 2: version: 5 should lie between 3 and 4"),
        ("model_type 1", "line 2: model_type: only potentials"),
        ("cutoff 6", "line 2: cutoff: 1 values are given"),
        ("cutoff 4 5", "line 2: cutoff: an angular radius should not be longer"),
        ("cutoff 6 2", "line 2: cutoff: 2 should lie between 3 and 100"),
        ("cutoff 6 5 6 5 6 5", "cutoff has 3 pairs of radii, but should have 1 or 2"),
        ("n_max 13 4", "line 2: n_max: 13 should lie between 0 and 12"),
        ("n_max 4", "line 2: n_max: 1 values are given, but it takes 2"),
        ("l_max 9", "line 2: l_max: 9 should lie between 2 and 8"),
        ("l_max 4 2 0 1", "line 2: l_max: .*only the first two"),
        ("neuron 0", "line 2: neuron: 0 should lie between 1 and 120"),
        ("neuron 30 20", "line 2: neuron: a second hidden layer"),
        ("lambda_e -1", "line 2: lambda_e: -1 should lie between 0 and inf"),
        ("lambda_e nan", "line 2: lambda_e: nan should lie"),
        ("lambda_1 much", "line 2: lambda_1: 'much' should be a number"),
        ("type_weight 1 2 3", "type_weight has 3 values; it should have 2"),
        ("batch 0", "line 2: batch: 0 should lie between 1"),
        ("batch 10.5", "line 2: batch: '10.5' should be a whole number"),
        ("population 5", "line 2: population: 5 should lie between 10 and 200"),
        ("zbl 0.5", "line 2: zbl: 0.5 should lie between 1 and 4"),
        ("cutoff 6 3\nzbl 4", "zbl 4 should not be longer than the angular cutoff"),
        ("type 2 Zr", "line 2: type: 2 values are given, but it takes 3"),
        ("type 1 Zz", "different chemical symbols"),
    ],
)
def test_mistakes_are_named_with_their_line(line, sentence, tmp_path):
    (tmp_path / "nep.in").write_text(f"type 2 Zr O\n{line}\n")
    with pytest.raises(InputError, match=f"nep.in.*{sentence}"):
        read_nep_in(tmp_path / "nep.in")


def test_order_and_absence_of_type():
    with pytest.raises(InputError, match="line 1: 'cutoff' should come after 'type'"):
        parse_nep_in("cutoff 6 5\ntype 1 Zr\n")
    with pytest.raises(InputError, match="the keyword 'type' is missing"):
        parse_nep_in("generation 100\n")
