"""What the contract tests of all engine families share."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

CALCULATORS = str(Path(__file__).parents[1] / "calculators")
if CALCULATORS not in sys.path:
    sys.path.insert(0, CALCULATORS)


def through_json(engine):
    """Write an engine as JSON and rebuild it as a workflow manager does, from the class that the JSON names."""
    from monty.json import MontyDecoder

    return MontyDecoder().decode(json.dumps(engine.as_dict()))


def through_workflow_file(engine, directory):
    """Put an engine into a job, the job into a FireWorks workflow file, and take it out of what is read back."""
    from fireworks import Workflow
    from jobflow import Flow, job
    from jobflow.managers.fireworks import flow_to_workflow
    from monty.json import MontyDecoder

    path = directory / "workflow.json"
    flow_to_workflow(Flow([job(repr)(engine)]), store=None).to_file(str(path))
    task = Workflow.from_file(str(path)).fws[0].tasks[0].as_dict()
    return MontyDecoder().process_decoded(task["job"]).function_args[0]


@pytest.fixture
def round_trips(tmp_path):
    """Return the engine as it comes back from every way it travels."""

    def travel(engine):
        return [
            type(engine).from_dict(engine.as_dict()),
            through_json(engine),
            through_workflow_file(engine, tmp_path),
        ]

    return travel


@pytest.fixture(scope="session")
def crystal():
    """Li2ZrCl6 with 27 atoms, bundled with the package."""
    from lizrcl_flows.science.structures import load_structure

    return load_structure("Li2ZrCl6_alpha_ordered", phase="alpha")


@pytest.fixture(scope="session")
def lithium_chloride():
    """LiCl with 8 atoms, rattled by 0.05 A."""
    from ase.build import bulk

    from lizrcl_flows.documents import Origin
    from lizrcl_flows.science.structures import structure_from_atoms

    atoms = bulk("LiCl", "rocksalt", a=5.13, cubic=True)
    atoms.positions += np.random.default_rng(5).normal(scale=0.05, size=atoms.positions.shape)
    return structure_from_atoms(atoms, origin=Origin(kind="import", source="test"))


@pytest.fixture(scope="session")
def pairs(crystal):
    """20 rattled structures with labels of ToyIonic; the last one has no stress."""
    from toy_calculator import ToyIonic

    from lizrcl_flows.documents import Label
    from lizrcl_flows.science.structures import atoms_from_structure

    made = []
    for number in range(20):
        rng = np.random.default_rng(number)
        strain = np.eye(3) + rng.normal(scale=0.01, size=(3, 3))
        positions = crystal.positions @ strain + rng.normal(scale=0.08, size=crystal.positions.shape)
        structure = crystal.revised(cell=crystal.cell @ strain, positions=positions)
        atoms = atoms_from_structure(structure)
        atoms.calc = ToyIonic()
        label = Label(
            structure=structure.id,
            level="lev_00000000000000000000",
            status="accepted",
            n_atoms=structure.n_atoms,
            energy=atoms.get_potential_energy(),
            forces=atoms.get_forces(),
            stress=atoms.get_stress(voigt=False) if number < 19 else None,
            formula=structure.formula,
        )
        made.append((structure, label))
    return made


@pytest.fixture(scope="session")
def potential(pairs, tmp_path_factory):
    """nep.txt of a member that was really trained on `pairs`."""
    from lizrcl_flows.engines.training.base import TrainingRequest
    from lizrcl_flows.engines.training.nep import NepTrainer

    engine = NepTrainer(
        command="lizrcl-nep", steps=400, n_max=(4, 4), basis_size=(6, 6), l_max=(4, 2, 0), neurons=10, batch=4
    )
    request = TrainingRequest(pairs=pairs, elements=("Li", "Zr", "Cl"), energy_shift={}, seed=3)
    return engine.train(request, tmp_path_factory.mktemp("potential")).nep_txt
