"""`lizrcl analyse` of files: ions whose motion is known, what the output holds, what is refused."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from lizrcl_flows.cli.analyse import analyse
from lizrcl_flows.errors import InputError
from lizrcl_flows.gpumd.extended_xyz import FrameFormat, format_lattice

D_A2_PER_PS, DT_PS, N_FRAMES = (0.03, 0.02, 0.01), 10.0, 300
EDGE_A = 20.0


@pytest.fixture(scope="module")
def walkers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Brownian Li of known diffusion coefficients among vibrating Zr and Cl, in GPUMD's dialect, wrapped, drifting."""
    rng = np.random.default_rng(5)
    places = np.array(list(np.ndindex(4, 4, 4))) * EDGE_A / 4
    steps = rng.normal(0, np.sqrt(2 * np.array(D_A2_PER_PS) * DT_PS), (N_FRAMES, len(places), 3))
    steps[0] = 0
    others = [places + shift + rng.normal(0, 0.1, (N_FRAMES, len(places), 3)) for shift in ([0, 0, 0], [2.5, 0, 0])]
    positions = np.concatenate([places + 2.5 + np.cumsum(steps, axis=0), *others], axis=1)
    positions += np.arange(N_FRAMES)[:, None, None] * np.array([0.3, -0.2, 0.1])
    rows = FrameFormat(["Li"] * 64 + ["Cl"] * 64 + ["Zr"] * 64, [("pos", 3, "%.6f")])
    header = f'pbc="T T T" {format_lattice(EDGE_A * np.eye(3))}'
    path = tmp_path_factory.mktemp("walkers") / "dump.xyz"
    path.write_text("".join(rows.render(header, [frame]) for frame in positions % EDGE_A))
    return path


def invoke(*arguments: object):
    return CliRunner().invoke(analyse, [str(argument) for argument in arguments])


def test_brownian_ions_have_the_diffusion_coefficient_that_made_them(walkers: Path) -> None:
    result = invoke(walkers, "--species", "Li", "--dt-ps", DT_PS, "--temperature", 400, "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    diffusion = found["diffusion"]
    assert diffusion["status"] == "resolved"
    assert abs(diffusion["D_A2_per_ps"] - np.mean(D_A2_PER_PS)) < 4 * diffusion["sigma_A2_per_ps"]
    for value, sigma, true in zip(diffusion["per_axis"], diffusion["per_axis_sigma"], D_A2_PER_PS, strict=True):
        assert abs(value - true) < 4 * sigma
    assert diffusion["sigma_A2_per_ps"] < 0.05 * diffusion["D_A2_per_ps"]
    assert diffusion["paper"]["D_A2_per_ps"] == pytest.approx(0.02, rel=0.35)
    assert abs(found["haven"] - 1) < 4 * found["haven_sigma"]
    # n q^2 D / (V k T) with n = 64, V = 8000 A^3, in mS/cm
    expected = 64 / 8000e-24 * 1.602176634e-19**2 * diffusion["D_A2_per_ps"] * 1e-4 / (1.380649e-23 * 400) * 1e3
    assert found["conductivity"]["nernst_einstein"]["mS_per_cm"] == pytest.approx(expected, rel=1e-6)
    assert set(found["hops"]) >= {"paper_per_ion_ns", "false_per_ion_ns", "counted_per_ion_ns"}
    assert found["structure"]["rdf"]["Li-Cl"]["first_shell_cn"] > 0
    assert found["structure"]["layers"]["n_layers"] == 4
    assert "no interface" in found["structure"]["regional"]["reason"]


def test_figures_and_tables_are_written_beside_the_sentences(walkers: Path, tmp_path: Path) -> None:
    result = invoke(walkers, "--dt-ps", DT_PS, "--transport-only", "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert "A^2/ps" in result.stdout
    assert "by the study's protocol" in result.stdout
    assert {path.name for path in (tmp_path / "out").iterdir()} >= {
        "analysis.json",
        "msd.png",
        "msd.csv",
        "hop_map.csv",
    }
    header = (tmp_path / "out" / "msd.csv").read_text().splitlines()[0]
    assert header.startswith("lag_ps,msd_a2,msd_x_a2")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--species", "Na", "--dt-ps", 10], "there is no Na in this trajectory; its species are Li, Cl, Zr"),
        ([], "does not tell the times of its frames"),
        (["--dt-ps", -1], "-1 ps between frames is not accepted"),
        (["--dt-ps", 10, "--skip-ps", 2990], "at least 3 are needed"),
        (["--dt-ps", 10, "--temperature", -5], "-5 K is not accepted"),
    ],
)
def test_what_cannot_be_analysed_is_told_in_one_sentence(walkers: Path, options: list, sentence: str) -> None:
    result = invoke(walkers, *options)
    assert isinstance(result.exception, InputError)
    assert sentence in str(result.exception)
    assert "\n" not in str(result.exception)


def test_one_frame_and_a_jump_across_the_cell_are_refused(walkers: Path, tmp_path: Path) -> None:
    lines = walkers.read_text().splitlines(keepends=True)
    one = tmp_path / "one.xyz"
    one.write_text("".join(lines[:194]))
    assert "at least 3" in str(invoke(one, "--dt-ps", 10).exception)
    jump = tmp_path / "jump.xyz"
    jump.write_text("".join([*lines[: 194 + 2], "Li 12.5 12.5 12.5\n", *lines[194 + 3 : 194 * 4]]))
    message = str(invoke(jump, "--dt-ps", 10).exception)
    assert "atom 0 moves by" in message
    assert "from frame 0 to the next" in message
