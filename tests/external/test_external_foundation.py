"""Real foundation models through our engines: CHGNet and SevenNet with the weights in their packages, MACE from a file.

Run with ``pytest -m external tests/external/test_external_foundation.py`` where an extra is installed (chgnet, sevennet
or mace: docs/foundation_models.md); a model whose package is absent is skipped. Weights of MACE do not come with its
package: a small random model is made, so that a real file goes through the real loading.
"""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from lizrcl_flows.engines.dynamics.ase import AseDynamics
from lizrcl_flows.engines.dynamics.base import DynamicsRequest
from lizrcl_flows.engines.labelling.ase import AseLabeller
from lizrcl_flows.engines.relaxation.ase import AseRelaxer
from lizrcl_flows.gpumd import read_dump_xyz
from lizrcl_flows.science.structures import load_structure
from lizrcl_flows.units import GPA_PER_EV_A3

pytestmark = [pytest.mark.external, pytest.mark.timeout(1800)]


def need(module):
    """Skip where a package is absent; it is never imported here, as it warns of its own."""
    if importlib.util.find_spec(module) is None:
        pytest.skip(f"the package {module} is not installed")


def elsewhere(program, *arguments):
    """Run a program in a process of its own and return what it printed last, as JSON."""
    finished = subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, timeout=600, check=True
    )
    return json.loads(finished.stdout.strip().splitlines()[-1])


@pytest.fixture(scope="module")
def crystal():
    """Li2ZrCl6 with 27 atoms."""
    return load_structure("Li2ZrCl6_alpha_ordered", phase="alpha")


def request_of(crystal, **changes):
    """Return a request: 20 steps of 1 fs at 300 K, a frame every five."""
    values = {
        "structure": crystal,
        "potentials": (),
        "elements": ("Li", "Zr", "Cl"),
        "ensemble": "nvt",
        "temperature_k": 300.0,
        "pressure_gpa": None,
        "steps": 20,
        "equilibration_steps": 0,
        "time_step_fs": 1.0,
        "sample_every": 5,
        "seed": 7,
    }
    return DynamicsRequest(**{**values, **changes})


class FoundationContract:
    """Inherit, give the fixture `choice` (calculator, file, parameters), and the model is driven for real."""

    stranger = "Cm"
    """An element that the model does not know."""

    @pytest.fixture
    def choice(self):
        raise NotImplementedError

    @pytest.fixture
    def tolerance(self):
        """Return how well energies in single precision give a force by differences (eV/A)."""
        return 0.02

    @pytest.fixture
    def label_of(self, choice, tmp_path):
        engine = AseLabeller(choice["calculator"], choice["parameters"], file=choice["file"], max_attempts=1)
        return lambda structure: engine.label(structure, tmp_path / structure.id)

    def test_force_is_the_derivative_of_the_energy(self, label_of, crystal, tolerance):
        positions = crystal.positions.copy()
        positions[1, 0] += 0.1
        here = label_of(crystal.revised(positions=positions))
        assert here.accepted, here.reason
        energies = []
        for sign in (1, -1):
            moved = positions.copy()
            moved[1, 0] += sign * 0.05
            energies.append(label_of(crystal.revised(positions=moved)).energy)
        assert here.forces[1, 0] == pytest.approx(-(energies[0] - energies[1]) / 0.1, abs=tolerance, rel=0.02)

    @pytest.mark.parametrize(("ensemble", "pressure_gpa"), [("nvt", None), ("npt", 0.0)])
    def test_it_drives_dynamics(self, choice, crystal, ensemble, pressure_gpa, tmp_path):
        request = request_of(crystal, ensemble=ensemble, pressure_gpa=pressure_gpa)
        runs = [AseDynamics(**choice).run(request, tmp_path / name) for name in ("a", "b")]
        assert runs[0].health.status == "ok"
        assert runs[0].n_frames == 4
        assert 150 < runs[0].thermo.temperature_k < 450
        assert runs[0].trajectory.read_bytes() == runs[1].trajectory.read_bytes()
        cells = [frame.cell for frame in read_dump_xyz(runs[0].trajectory)]
        assert (np.ptp(cells, axis=0).max() > 0) == (ensemble == "npt")

    def test_an_element_that_it_does_not_know_is_a_sentence(self, choice, crystal, tmp_path):
        from ase.data import atomic_numbers

        structure = crystal.revised(numbers=[atomic_numbers[self.stranger], *crystal.numbers[1:]])
        result = AseRelaxer(**choice).relax(structure, tmp_path)
        assert not result.converged
        assert result.reason.endswith(f", not {self.stranger}")
        assert "it knows" in result.reason


class PretrainedContract(FoundationContract):
    """A model that was really trained: the crystal comes out as it is known."""

    def test_dispersion_is_added_to_it(self, choice, crystal, label_of, tmp_path):
        need("dftd3")
        from dftd3.ase import DFTD3

        from lizrcl_flows.science.structures import atoms_from_structure

        engine = AseLabeller(choice["calculator"], choice["parameters"], file=choice["file"], dispersion="D3-BJ")
        bare, result = label_of(crystal), engine.label(crystal, tmp_path / "d3")
        atoms = atoms_from_structure(crystal)
        atoms.calc = DFTD3(method="PBE", damping="d3bj")
        assert result.energy - bare.energy == pytest.approx(atoms.get_potential_energy(), abs=1e-3)
        # -1.6 GPa: more than the model alone has
        assert result.stress - bare.stress == pytest.approx(atoms.get_stress(voigt=False), abs=1e-5)

    def test_crystal_keeps_its_volume_and_its_octahedra(self, choice, crystal, tmp_path):
        result = AseRelaxer(**choice, fmax_ev_per_a=0.05).relax(crystal, tmp_path)
        assert result.converged, result.reason
        assert np.abs(result.stress).max() * GPA_PER_EV_A3 < 0.1
        volumes = [abs(np.linalg.det(structure.cell)) for structure in (result.structure, crystal)]
        assert volumes[0] == pytest.approx(volumes[1], rel=0.1)
        for zirconium in np.flatnonzero(result.structure.numbers == 40):
            lengths = sorted(_distances(result.structure, zirconium))[:7]
            assert 2.35 < lengths[0] <= lengths[5] < 2.65  # six chlorides: 2.49 A in alpha-Li2ZrCl6
            assert lengths[6] > 3.0


def _distances(structure, index):
    """Distances (A) from an atom to all others and their images in the next cells."""
    shifts = np.array(list(np.ndindex(3, 3, 3))) - 1
    vectors = (structure.positions - structure.positions[index])[:, None] + shifts @ structure.cell
    lengths = np.linalg.norm(vectors, axis=2).ravel()
    return lengths[lengths > 1e-6]


CHGNET = """
import json, sys
from ase import Atoms
from chgnet.model import CHGNet
from pymatgen.io.ase import AseAtomsAdaptor
content = json.loads(sys.argv[1])
structure = AseAtomsAdaptor.get_structure(Atoms(**content, pbc=True))
energy_per_atom = CHGNet.load(use_device="cpu", verbose=False).predict_structure(structure)["e"]
print(json.dumps(float(energy_per_atom) * len(structure)))
"""


class TestChgnet(PretrainedContract):
    @pytest.fixture
    def choice(self):
        need("chgnet")
        return {"calculator": "chgnet", "file": None, "parameters": {}}

    def test_energy_is_that_of_the_packages_own_interface(self, choice, crystal, label_of):
        content = {"numbers": crystal.numbers, "cell": crystal.cell, "positions": crystal.positions}
        told = elsewhere(CHGNET, json.dumps({key: value.tolist() for key, value in content.items()}))
        assert label_of(crystal).energy == pytest.approx(told, abs=1e-3)

    def test_a_file_of_weights_is_another_level(self, choice, crystal, label_of, tmp_path):
        package = Path(importlib.util.find_spec("chgnet").origin).parent
        (weights,) = (package / "pretrained" / "0.3.0").glob("*.pth.tar")
        engine = AseLabeller("chgnet", file=str(weights))
        assert engine.level().id != AseLabeller("chgnet").level().id
        assert engine.label(crystal, tmp_path / "file").energy == pytest.approx(label_of(crystal).energy, abs=1e-4)


class TestSevennet(PretrainedContract):
    @pytest.fixture
    def choice(self):
        need("sevenn")
        return {"calculator": "sevennet", "file": None, "parameters": {}}


RANDOM_MACE = """
import json, sys
import mace
import numpy as np, torch
from e3nn import o3
from mace.modules import ScaleShiftMACE, interaction_classes
torch.manual_seed(1)
torch.set_default_dtype(torch.float64)
block = interaction_classes["RealAgnosticResidualInteractionBlock"]
model = ScaleShiftMACE(
    r_max=4.0, num_bessel=4, num_polynomial_cutoff=5, max_ell=1, interaction_cls=block, interaction_cls_first=block,
    num_interactions=2, num_elements=3, hidden_irreps=o3.Irreps("4x0e"), MLP_irreps=o3.Irreps("4x0e"),
    atomic_energies=np.array([-1.0, -2.0, -3.0]), avg_num_neighbors=10.0, atomic_numbers=[3, 17, 40], correlation=2,
    gate=torch.nn.functional.silu, atomic_inter_scale=100.0, atomic_inter_shift=0.0, radial_MLP=[8],
)
torch.save(model, sys.argv[1])
print(json.dumps("made"))
"""


@pytest.fixture(scope="module")
def random_mace(tmp_path_factory):
    """Model file of a small MACE for Li, Cl and Zr whose weights are random."""
    need("mace")
    path = tmp_path_factory.mktemp("models") / "random.model"
    assert elsewhere(RANDOM_MACE, str(path)) == "made"
    return path


class TestMace(FoundationContract):
    stranger = "O"

    @pytest.fixture
    def choice(self, random_mace, monkeypatch):
        monkeypatch.setenv("LIZRCL_MODELS_DIR", str(random_mace.parent))
        return {"calculator": "mace", "file": random_mace.name, "parameters": {}}

    @pytest.fixture
    def tolerance(self):
        return 1e-3

    def test_it_relaxes(self, choice, crystal, tmp_path):
        result = AseRelaxer(**choice, max_steps=3, fmax_ev_per_a=1e-6).relax(crystal, tmp_path)
        assert result.n_steps == 3
        assert result.structure.origin.parameters["energy_change_ev"] < 0
        assert result.structure.origin.parameters["calculator"] == "mace (random.model)"
