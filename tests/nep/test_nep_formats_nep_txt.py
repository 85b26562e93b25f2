"""nep.txt: what is written reads back, other programs read it, and what is broken is refused with its line."""

from dataclasses import replace

import numpy as np
import pytest

from lizrcl_flows.errors import InputError
from lizrcl_flows.nep import NepHeader, NepModel, Zbl, read_nep_txt, write_nep_txt
from lizrcl_flows.nep.nep_txt import format_nep_txt

HEADERS = {
    "plain": {},
    "version 3": {"version": 3, "five_body": True},
    "zbl": {"zbl": Zbl(0.6, 1.2)},
    "typewise zbl": {"zbl": Zbl(1.0, 2.0, 0.65), "version": 3},
    "per-type cutoffs": {"cutoffs": ((5.0, 4.0), (6.0, 4.5), (7.25, 5.0), (5.5, 5.0))},
    "one type": {"species": ("Pu",), "neurons": 1},
    "two types": {"species": ("H", "O")},
    "sixteen types": {"species": tuple("Li Be B C N O F Ne Na Mg Al Si P S Cl Ar".split()), "neurons": 3},  # noqa: SIM905
}


def same(one: NepModel, other: NepModel) -> bool:
    return (
        one.header == other.header
        and one.max_neighbours == other.max_neighbours
        and np.array_equal(one.parameters, other.parameters)
        and np.array_equal(one.q_scaler, other.q_scaler)
    )


@pytest.mark.parametrize("name", HEADERS)
def test_full_precision_round_trip_is_exact(name, tmp_path, make_header, make_model):
    model = make_model(make_header(**HEADERS[name]))
    write_nep_txt(tmp_path / "nep.txt", model, full_precision=True)
    assert same(read_nep_txt(tmp_path / "nep.txt"), model)


@pytest.mark.parametrize("name", HEADERS)
def test_eight_digits_are_stable_and_better_than_float32(name, tmp_path, make_header, make_model):
    model = make_model(make_header(**HEADERS[name]))
    write_nep_txt(tmp_path / "nep.txt", model)
    read = read_nep_txt(tmp_path / "nep.txt")
    np.testing.assert_allclose(read.parameters, model.parameters, rtol=6e-8)
    assert format_nep_txt(read) == (tmp_path / "nep.txt").read_text()


def test_file_is_laid_out_as_gpumd_does():
    header = NepHeader(4, ("Te", "Pb"), ((8.0, 4.0),) * 2, (0, 0), (1, 0), 1, False, True, 1, Zbl(0.5, 1.0))
    model = NepModel(header, np.arange(header.n_parameters, dtype=float), np.array([0.5, 0.25, 4.0]), (83, 15))
    lines = format_nep_txt(model).split("\n")
    assert lines[:8] == [
        "nep4_zbl 2 Te Pb ",
        "zbl 0.5 1",
        "cutoff 8 4 83 15",
        "n_max 0 0",
        "basis_size 1 0",
        "l_max 1 0 1",
        "ANN 1 0",
        "  0.0000000e+00",
    ]
    assert header.n_parameters == 2 * (3 + 2) + 1 + 4 * 2 + 4
    assert lines[-4:] == ["  5.0000000e-01", "  2.5000000e-01", "  4.0000000e+00", ""]
    assert len(lines) == 7 + header.n_parameters + 3 + 1


def test_calorine_reads_the_same_numbers(tmp_path, make_header, make_model):
    from calorine.nep import read_model

    model = make_model(make_header(five_body=True))
    write_nep_txt(tmp_path / "nep.txt", model, full_precision=True)
    theirs = read_model(str(tmp_path / "nep.txt"))
    header = model.header
    assert theirs.n_descriptor_parameters == header.n_coefficients
    assert theirs.n_ann_parameters == header.n_networks * header.network_size + 1
    width, start = header.n_descriptors, header.network_size
    np.testing.assert_array_equal(
        theirs.ann_parameters["Zr"]["w0"].ravel(), model.parameters[start : start + header.neurons * width]
    )
    np.testing.assert_array_equal(theirs.q_scaler, model.q_scaler)
    theirs.write(str(tmp_path / "again.txt"))
    again = read_nep_txt(tmp_path / "again.txt")
    assert again.header == header
    np.testing.assert_allclose(again.parameters, model.parameters, rtol=6e-8)


def small_text():
    header = NepHeader(4, ("Zr", "O"), ((6.0, 5.0),) * 2, (1, 1), (2, 2), 4, True, False, 3)
    rng = np.random.default_rng(0)
    model = NepModel(header, rng.normal(size=header.n_parameters), np.ones(header.n_descriptors), (50, 30))
    return format_nep_txt(model)


def test_older_and_newer_header_forms_are_understood(tmp_path):
    text = small_text()
    path = tmp_path / "nep.txt"
    for line, other in [
        ("l_max 4 2 0", "l_max 4 1"),
        ("l_max 4 2 0", "l_max 4 2 0 0 0 0 0"),
        ("cutoff 6 5 50 30", "cutoff 6 5 6 5 50 30"),
    ]:
        path.write_text(text.replace(line, other))
        assert format_nep_txt(read_nep_txt(path)) == text
    path.write_text(text.replace("cutoff 6 5 50 30", "cutoff 6 5"))
    assert read_nep_txt(path).max_neighbours == (0, 0)


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("nep4 2", "nep5 2", r"line 1: 'nep5' is not a known kind of potential; accepted are nep3, nep4"),
        ("nep4 2", "nep4_charge1 2", r"line 1: 'nep4_charge1'"),
        ("nep4 2", "nep4_dipole 2", r"line 1: 'nep4_dipole'"),
        ("nep4 2", "nep4 3", r"line 1: 3 types are announced, but 2 follow"),
        ("nep4 2", "nep4 two", r"line 1: 'two' should be whole numbers"),
        ("Zr O", "Zr Zr", r"different chemical symbols"),
        ("Zr O", "Zr Xx", r"different chemical symbols"),
        ("cutoff 6 5 50 30", "cutoff 6 5 50", r"line 2: 'cutoff' has 3 values, but should have 4 or 2 or 6"),
        (
            "cutoff 6 5 50 30",
            "cutoff 6 5 50 30 -1 -1 0.9",
            r"line 2: 'cutoff' ends with the factors -1 -1 0.9, with which GPUMD v3.9.5 to v4.6 .* with v4.7 or later",
        ),
        ("cutoff 6 5", "cutoff 6 x", r"line 2: '6 x' should be numbers"),
        ("cutoff 6 5", "cutoff 5 6", r"radial >= angular"),
        ("n_max 1 1", "n_min 1 1", r"line 3: 'n_min' stands where 'n_max' should"),
        ("n_max 1 1", "n_max 1 -1", r"n_max of 1 is out of range"),
        ("basis_size 2 2", "basis_size 2", r"line 4: 'basis_size' has 1 values, but should have 2"),
        ("l_max 4 2 0", "l_max 4 2 0 1", r"line 5: the descriptors q112, q123, q233 and q134 are not supported"),
        ("l_max 4 2 0", "l_max 9 2 0", r"l_max of 9 is out of range"),
        ("l_max 4 2 0", "l_max 1 2 0", r"q222 needs l_max of 2"),
        ("ANN 3 0", "ANN 3 5", r"line 6: a second hidden layer is not supported"),
        ("nep4 2 Zr O \n", "nep4_zbl 2 Zr O \nzbl 0 0\n", r"line 2: the flexible ZBL repulsion"),
        ("nep4 2 Zr O \n", "nep4_zbl 2 Zr O \nzbl 2 1\n", r"line 2: the radii 2 and 1 of zbl"),
    ],
)
def test_headers_that_are_not_understood_are_refused(old, new, sentence, tmp_path):
    text = small_text()
    assert old in text
    (tmp_path / "nep.txt").write_text(text.replace(old, new, 1))
    with pytest.raises(InputError, match=f"nep.txt.*{sentence}"):
        read_nep_txt(tmp_path / "nep.txt")


def test_wrong_numbers_are_refused_with_their_line(tmp_path):
    path = tmp_path / "nep.txt"
    lines = small_text().split("\n")
    count = len(lines) - 7
    for index, word in ((20, "1.0e"), (33, "nan"), (41, "inf")):
        path.write_text("\n".join([*lines[: index - 1], word, *lines[index:]]))
        with pytest.raises(InputError, match=f"nep.txt, line {index}: '{word}' should be a finite number"):
            read_nep_txt(path)
    path.write_text("\n".join([*lines[:-1], "0.5", "0.25", ""]))
    with pytest.raises(
        InputError, match=f"line {len(lines)}: {count + 2} numbers follow the header, which announces {count}"
    ):
        read_nep_txt(path)


def test_a_file_cut_anywhere_is_refused(tmp_path):
    path = tmp_path / "nep.txt"
    text = small_text()
    for length in [0, 3, 20, 60, 90, 150, len(text) // 2, len(text) - 17, len(text) - 3, len(text) - 1]:
        path.write_text(text[:length])
        with pytest.raises(InputError, match=r"nep.txt, line \d+"):
            read_nep_txt(path)


def test_files_that_are_not_there_or_not_text(tmp_path):
    with pytest.raises(InputError, match=r"There is no file .*nep.txt"):
        read_nep_txt(tmp_path / "nep.txt")
    (tmp_path / "nep.txt").write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(InputError, match="is not a text file"):
        read_nep_txt(tmp_path / "nep.txt")
    with pytest.raises(InputError, match="cannot be read"):
        read_nep_txt(tmp_path)


def test_nothing_is_left_half_written(tmp_path, make_model, monkeypatch):
    path = tmp_path / "nep.txt"
    write_nep_txt(path, make_model())
    before = path.read_text()
    monkeypatch.setattr("os.fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(OSError, match="No space"):
        write_nep_txt(path, make_model(seed=1))
    assert path.read_text() == before
    assert list(tmp_path.iterdir()) == [path]


def test_models_of_wrong_size_cannot_be_made(make_model):
    model = make_model()
    with pytest.raises(InputError, match="14945 parameters, not 14944"):
        replace(model, parameters=model.parameters[1:])
    with pytest.raises(InputError, match="54 descriptor scales, not 55"):
        replace(model, q_scaler=np.ones(55))
    with pytest.raises(InputError, match="finite"):
        replace(model, q_scaler=np.full(54, np.nan))


def test_sizes_of_the_study(make_header):
    header = make_header()
    assert (header.n_descriptors, header.n_parameters) == (54, 14945)
    small = make_header(n_max=(4, 4), basis_size=(8, 8), neurons=30)
    assert (small.n_descriptors, small.n_parameters) == (30, 5281)
