"""loss.out, the parity tables and nep.restart."""

import numpy as np
import pytest

from lizrcl_flows.errors import InputError
from lizrcl_flows.nep import read_loss, read_parity, read_restart, write_restart

LOSS = (
    "# generation total L1 L2 ...\n100  1.5 0.1 0.2 0.3 0.4 0.5 0 0 0\n200  1.25 0.1 0.2 0.25 0.35 0.45 0.6 0.7 0.8\n"
)


def test_loss_curve_with_and_without_headings(tmp_path):
    path = tmp_path / "loss.out"
    path.write_text(LOSS)
    curve = read_loss(path)
    np.testing.assert_array_equal(curve.generation, [100, 200])
    np.testing.assert_array_equal(curve.energy_train, [0.3, 0.25])
    np.testing.assert_array_equal(curve.virial_test, [0.0, 0.8])
    path.write_text(LOSS.split("\n", 1)[1])
    np.testing.assert_array_equal(read_loss(path).total, curve.total)


def test_loss_curve_agrees_with_calorine(tmp_path):
    from calorine.nep import read_loss as calorine_reads

    (tmp_path / "loss.out").write_text(LOSS.split("\n", 1)[1])
    theirs = calorine_reads(str(tmp_path / "loss.out"))
    ours = read_loss(tmp_path / "loss.out")
    np.testing.assert_array_equal(theirs["RMSE_F_train"], ours.force_train)
    np.testing.assert_array_equal(theirs["L2"], ours.l2)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("100 1 2 3 4 5 6 7 8\n", "line 1: 9 numbers where 10 are expected"),
        (LOSS[:-5], "line 3: .* the file is cut short"),
        (LOSS.replace("0.35", "0.3.5"), "line 3: '200 .*' should be numbers"),
        ("# nothing\n", "holds no numbers"),
    ],
)
def test_broken_loss_curves_are_refused(text, sentence, tmp_path):
    (tmp_path / "loss.out").write_text(text)
    with pytest.raises(InputError, match=f"loss.out.*{sentence}"):
        read_loss(tmp_path / "loss.out")


def test_parity_tables_mark_what_is_missing(tmp_path):
    path = tmp_path / "virial_train.out"
    path.write_text("1 2 3 4 5 6 7 8 9 10 11 12\n1 2 3 4 5 6 -1e+06 -1e+06 -1e+06 -1e+06 -1e+06 -1e+06\n")
    predicted, reference = read_parity(path)
    np.testing.assert_array_equal(predicted, [[1, 2, 3, 4, 5, 6]] * 2)
    np.testing.assert_array_equal(reference[0], [7, 8, 9, 10, 11, 12])
    assert np.isnan(reference[1]).all()


@pytest.mark.parametrize(("text", "width"), [("1 2\n3 4\n", 1), ("1 2 3 4 5 6\n", 3)])
def test_energies_and_forces(text, width, tmp_path):
    (tmp_path / "x.out").write_text(text)
    predicted, reference = read_parity(tmp_path / "x.out")
    assert predicted.shape == reference.shape == (text.count("\n"), width)


def test_parity_tables_of_odd_shape_are_refused(tmp_path):
    (tmp_path / "x.out").write_text("1 2\n1 2 3 4 5 6\n")
    with pytest.raises(InputError, match="line 2: 6 numbers where 2 are expected"):
        read_parity(tmp_path / "x.out")
    (tmp_path / "x.out").write_text("1 2 3\n")
    with pytest.raises(InputError, match="line 1: 3 numbers where 2 or 6 or 12 are expected"):
        read_parity(tmp_path / "x.out")


def test_restart_file(tmp_path):
    rng = np.random.default_rng(0)
    mean, spread = rng.normal(size=50), rng.uniform(size=50)
    write_restart(tmp_path / "nep.restart", mean, spread)
    again = read_restart(tmp_path / "nep.restart")
    np.testing.assert_allclose(again[0], mean, rtol=6e-8)
    np.testing.assert_allclose(again[1], spread, rtol=6e-8)
    first = (tmp_path / "nep.restart").read_text().splitlines()[0]
    assert first == f"{mean[0]:15.7e} {spread[0]:15.7e}"
