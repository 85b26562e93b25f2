"""Small true documents to fill an archive with."""

from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lizrcl_flows.archive import Archive
from lizrcl_flows.documents import (
    Campaign,
    CampaignSpec,
    Candidate,
    Committee,
    Dataset,
    Document,
    Health,
    Label,
    Level,
    Model,
    Origin,
    Structure,
    Trajectory,
    Transport,
    canonical_sha256,
)

SPEC = {
    "name": "c1",
    "system": "demo",
    "elements": ["Li", "Cl"],
    "phases": [{"name": "rocksalt", "structure": "LiCl"}],
    "initial": {"n_structures": 4, "n_holdout": 0},
    "labelling": {"engine": "ase", "calculator": "ase.calculators.lj:LennardJones"},
    "training": {},
    "exploration": {"conditions": [{"ensemble": "nvt", "temperature_k": 300.0}]},
    "selection": {"n_structures": 4},
}


class Make:
    """Documents that differ by a running number."""

    def __init__(self) -> None:
        self.numbers = count(1)

    def structure(self, n_atoms: int = 8, **changes: Any) -> Structure:
        rng = np.random.default_rng(next(self.numbers))
        fields = {"campaign": "c1", "generation": 0, "phase": "rocksalt", "formula": "ClLi", "chemical_system": "Cl-Li"}
        geometry = {"cell": np.eye(3) * 6.0, "positions": rng.random((n_atoms, 3)) * 6.0}
        numbers = [3, 17] * (n_atoms // 2) + [3] * (n_atoms % 2)
        return Structure(
            n_atoms=n_atoms, numbers=numbers, origin=Origin(kind="import"), **{**geometry, **fields, **changes}
        )

    def level(self, code: str = "ase.calculators.lj:LennardJones") -> Level:
        return Level(engine="ase", code=code, code_version="3.29")

    def label(self, structure: Structure, level: Level, **changes: Any) -> Label:
        rng = np.random.default_rng(next(self.numbers))
        result = {"status": "accepted", "energy": -3.5, "forces": rng.normal(size=(structure.n_atoms, 3))}
        place = {"campaign": structure.campaign, "generation": structure.generation, "phase": structure.phase}
        parents = (structure.id, level.id)
        names = {"structure": structure.id, "level": level.id, "parents": parents, "formula": structure.formula}
        return Label(n_atoms=structure.n_atoms, stress=np.eye(3) * 0.01, **{**names, **place, **result, **changes})

    def dataset(self, labels: Sequence[Label], parent: Dataset | None = None, before: Sequence[Label] = ()) -> Dataset:
        whole = [label.id for label in (*before, *labels)]
        added = tuple(label.id for label in labels)
        return Dataset(
            parent=parent.id if parent else None,
            added=added,
            split="train",
            level=labels[0].level,
            n_labels=len(whole),
            manifest_sha256=canonical_sha256(whole),
            campaign="c1",
            generation=labels[0].generation,
            parents=(*([parent.id] if parent else []), *added),
        )

    def model(self, archive: Archive, dataset: Dataset, member: int, path: Path) -> Model:
        path.write_text(f"nep4 2 Li Cl\ncutoff 6 5\nmember {member}\n")
        return Model(
            member=member,
            dataset=dataset.id,
            seed=member,
            hyperparameters={"type": "2 Li Cl", "generation": 100},
            trainer="nep",
            elements=("Li", "Cl"),
            n_parameters=10,
            nep_txt=archive.put_file(path),
            campaign="c1",
            generation=dataset.generation,
            parents=(dataset.id,),
        )

    def committee(self, models: Sequence[Model]) -> Committee:
        members = tuple(model.id for model in models)
        return Committee(
            members=members,
            elements=("Li", "Cl"),
            dataset=models[0].dataset,
            parents=members,
            campaign="c1",
            generation=0,
        )

    def trajectory(self, structure: Structure, committee: Committee, **changes: Any) -> Trajectory:
        fields = {
            "purpose": "production",
            "ensemble": "nvt",
            "temperature_k": 600.0,
            "steps": 1000,
            "time_step_fs": 1.0,
            "sample_every": 10,
            "seed": next(self.numbers),
            "engine": "gpumd",
            "n_frames": 100,
            "campaign": "c1",
            "generation": 0,
        }
        return Trajectory(
            structure=structure.id,
            committee=committee.id,
            n_atoms=structure.n_atoms,
            formula=structure.formula,
            phase=structure.phase,
            health=Health(status="ok"),
            parents=(structure.id, committee.id),
            **{**fields, **changes},
        )

    def candidate(self, structure: Structure, trajectory: Trajectory, committee: Committee, eps: float) -> Candidate:
        return Candidate(
            structure=structure.id,
            trajectory=trajectory.id,
            committee=committee.id,
            frame=next(self.numbers),
            time_fs=10.0,
            temperature_k=600.0,
            phase=structure.phase,
            eps=eps,
            n_models=len(committee.members),
            models=committee.members,
            n_atoms=structure.n_atoms,
            eps_atoms=np.full(structure.n_atoms, eps),
            formula=structure.formula,
            verdict="selected",
            campaign="c1",
            generation=1,
            parents=(structure.id, trajectory.id, committee.id),
        )

    def transport(self, trajectory: Trajectory) -> Transport:
        return Transport(
            trajectories=(trajectory.id,),
            species="Li",
            protocol="gls_blocks",
            temperature_k=600.0,
            n_ions=4,
            n_frames=100,
            status="not_resolved",
            reason="the run is too short",
            n_lags=3,
            lag_ps=[0.1, 0.2, 0.3],
            msd_a2=[0.1, 0.15, 0.16],
            campaign="c1",
            parents=(trajectory.id,),
        )

    def campaign(self, structure: Structure, **changes: Any) -> Campaign:
        spec = CampaignSpec.from_dict({**SPEC, **changes})
        phases = {"rocksalt": structure.id}
        return Campaign(name=spec.name, campaign=spec.name, spec=spec, phases=phases, parents=(structure.id,))

    def world(self, archive: Archive, folder: Path, n_labels: int = 6) -> dict[str, list[Document]]:
        """Write one of everything, as a campaign of one generation leaves it; return the documents by prefix."""
        level = self.level()
        structures = [self.structure() for _ in range(n_labels)]
        labels = [self.label(structure, level) for structure in structures]
        dataset = self.dataset(labels)
        models = [self.model(archive, dataset, member, folder / f"nep{member}.txt") for member in range(2)]
        committee = self.committee(models)
        trajectory = self.trajectory(structures[0], committee)
        campaign = self.campaign(structures[0])
        candidate = self.candidate(structures[1], trajectory, committee, 0.5)
        documents: list[Document] = [level, *structures, *labels, dataset, *models, committee, trajectory, candidate]
        documents += [self.transport(trajectory), campaign]
        archive.put_many(documents)
        world: dict[str, list[Document]] = {}
        for document in documents:
            world.setdefault(document.prefix, []).append(document)
        return world


@pytest.fixture
def make() -> Make:
    return Make()


@pytest.fixture
def world(archive: Archive, make: Make, tmp_path: Path) -> dict[str, list[Document]]:
    return make.world(archive, tmp_path)
