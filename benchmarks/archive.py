"""The archive at 20,000 structures of 60 atoms with labels: rates of writing, times of queries, lineage and audit.

Run as ``python benchmarks/archive.py [N]``. A server of its own is started in a temporary folder. The reference is what
most workflows do: pymatgen's ``as_dict`` with nested lists of forces in a maggma MongoStore, and pymongo's
``insert_many`` of nested lists, in the same run on the same server.
"""

import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from lizrcl_flows.archive import Archive, query, server
from lizrcl_flows.archive.audit import audit
from lizrcl_flows.documents import (
    Candidate,
    Committee,
    Dataset,
    Document,
    FileRef,
    Health,
    Label,
    Level,
    Model,
    Origin,
    Structure,
    Trajectory,
    canonical_sha256,
)
from lizrcl_flows.settings import Settings

N_ATOMS = 60
N_GENERATIONS = 25
PHASES = ("ideal", "alpha", "interface", "cubic")
FORMULAE = tuple(f"Cl{6 + i}Li2Zr" for i in range(50))
N_REFERENCE = 2000
FIELDS = ("campaign", "generation", "phase", "formula")


def structures(n: int) -> Iterator[Structure]:
    rng = np.random.default_rng(1)
    for i in range(n):
        yield Structure(
            campaign=f"c{i % 5}",
            generation=i // 5 % N_GENERATIONS,
            phase=PHASES[i % 4],
            n_atoms=N_ATOMS,
            numbers=[3, 40, 17] * (N_ATOMS // 3),
            cell=np.eye(3) * 11,
            positions=rng.random((N_ATOMS, 3)) * 11,
            formula=FORMULAE[i % 50],
            chemical_system="Cl-Li-Zr",
            origin=Origin(kind="import"),
        )


def labels(given: list[Structure], level: Level) -> Iterator[Label]:
    rng = np.random.default_rng(2)
    for structure in given:
        yield Label(
            campaign=structure.campaign,
            generation=structure.generation,
            phase=structure.phase,
            structure=structure.id,
            level=level.id,
            status="accepted",
            n_atoms=N_ATOMS,
            energy=-float(rng.random()),
            forces=rng.normal(size=(N_ATOMS, 3)),
            stress=np.eye(3),
            max_force=float(rng.random()),
            formula=structure.formula,
            parents=(structure.id, level.id),
        )


def chain(given: list[Label]) -> list[Dataset]:
    """One data set for each generation, each extending the one before."""
    made: list[Dataset] = []
    whole: list[str] = []
    size = -(-len(given) // N_GENERATIONS)
    for start in range(0, len(given), size):
        added = [label.id for label in given[start : start + size]]
        whole += added
        parent = made[-1].id if made else None
        made.append(
            Dataset(
                parent=parent,
                added=tuple(added),
                split="train",
                level=given[0].level,
                n_labels=len(whole),
                manifest_sha256=canonical_sha256(whole),
                campaign="c0",
                generation=start // size,
                parents=(*([parent] if parent else []), *added),
            )
        )
    return made


def outcome(dataset: Dataset, structure: Structure) -> tuple[list[Model], Committee, Trajectory]:
    file = FileRef(name="nep.txt", sha256="0" * 64, n_bytes=0, uri="gridfs:" + "0" * 64)
    models = [
        Model(
            member=member,
            dataset=dataset.id,
            seed=member,
            hyperparameters={},
            trainer="nep",
            elements=("Li", "Zr", "Cl"),
            n_parameters=1,
            nep_txt=file,
            parents=(dataset.id,),
        )
        for member in range(4)
    ]
    members = tuple(model.id for model in models)
    committee = Committee(members=members, elements=("Li", "Zr", "Cl"), dataset=dataset.id, parents=members)
    trajectory = Trajectory(
        purpose="production",
        structure=structure.id,
        committee=committee.id,
        n_atoms=N_ATOMS,
        formula=structure.formula,
        ensemble="nvt",
        temperature_k=600.0,
        steps=1,
        time_step_fs=1.0,
        sample_every=1,
        seed=1,
        engine="gpumd",
        n_frames=1,
        health=Health(status="ok"),
        parents=(structure.id, committee.id),
    )
    return models, committee, trajectory


def candidates(given: list[Structure], trajectory: Trajectory, committee: Committee) -> Iterator[Candidate]:
    rng = np.random.default_rng(3)
    for frame, structure in enumerate(given):
        eps = float(rng.exponential(0.3))
        yield Candidate(
            campaign=structure.campaign,
            generation=structure.generation,
            phase=structure.phase,
            structure=structure.id,
            trajectory=trajectory.id,
            committee=committee.id,
            frame=frame,
            time_fs=1.0,
            temperature_k=600.0,
            eps=eps,
            n_models=4,
            models=committee.members,
            n_atoms=N_ATOMS,
            eps_atoms=np.full(N_ATOMS, eps),
            formula=structure.formula,
            verdict="spare",
            parents=(structure.id, trajectory.id, committee.id),
        )


def best_ms(work: Callable[[], Any], repeats: int = 5) -> tuple[float, Any]:
    """Return the best of several wall times (ms) and the last result."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        result = work()
        times.append(time.perf_counter() - start)
    return min(times) * 1e3, result


def rate(n: int, work: Callable[[], Any]) -> float:
    start = time.perf_counter()
    work()
    return n / (time.perf_counter() - start)


def plan_of(archive: Archive, kind: type[Document], criteria: dict[str, Any]) -> str:
    plan = archive.connection[kind.collection].find(criteria).explain()["queryPlanner"]["winningPlan"]
    while "inputStage" in plan:
        plan = plan["inputStage"]
    return f"{plan['stage']} {plan.get('indexName', '')}".strip()


def reference_rates(archive: Archive, given: list[Structure], found: list[Label]) -> dict[str, tuple[float, float]]:
    """Return (written/s, read/s) of structure-with-label documents in two usual layouts."""
    from maggma.stores import MongoStore
    from pymatgen.core import Structure as Pymatgen

    rates = {}
    store = MongoStore(archive.database_name, "plain_maggma", uri=archive.uri, key="label_id")
    store.connect()
    plain = [
        {
            "label_id": label.id,
            "structure": Pymatgen(structure.cell, structure.numbers, structure.positions, coords_are_cartesian=True),
            "forces": label.forces.tolist(),
            "energy": label.energy,
        }
        for structure, label in zip(given, found, strict=True)
    ]
    written = rate(len(plain), lambda: store.update([{**p, "structure": p["structure"].as_dict()} for p in plain]))
    read = rate(
        len(plain),
        lambda: [(Pymatgen.from_dict(d["structure"]), np.array(d["forces"])) for d in store.query({})],
    )
    rates["pymatgen as_dict in maggma's MongoStore"] = (written, read)
    store.close()

    collection = archive.connection["plain_lists"]
    nested = [
        {"_id": s.id, "cell": s.cell.tolist(), "positions": s.positions.tolist(), "forces": f.forces.tolist()}
        for s, f in zip(given, found, strict=True)
    ]
    written = rate(len(nested), lambda: collection.insert_many(nested))
    read = rate(len(nested), lambda: [(np.array(d["positions"]), np.array(d["forces"])) for d in collection.find()])
    rates["nested lists with pymongo insert_many"] = (written, read)
    return rates


def report(archive: Archive, n: int) -> None:
    level = Level(engine="ase", code="benchmark", code_version="1")
    archive.put(level)
    given = list(structures(n))
    found = list(labels(given, level))
    written = rate(2 * n, lambda: archive.put_many([*given, *found]))
    print(f"{2 * n} documents written ({n} structures of {N_ATOMS} atoms, {n} labels, lineage and events with them)")
    print(f"  {written:8.0f} documents/s; once more, all there already: ", end="")
    print(f"{rate(2 * n, lambda: archive.put_many([*given, *found])):.0f}/s")
    read = rate(n, lambda: sum(1 for _ in archive.find(Label, {})))
    print(
        f"  {read:8.0f} labels/s read as documents; pairs of structure and label against the reference, {N_REFERENCE}:"
    )
    part, their = given[:N_REFERENCE], found[:N_REFERENCE]
    names = [label.structure for label in their]
    ids = [label.id for label in their]
    ours = rate(N_REFERENCE, lambda: (archive.get_many(Structure, names), archive.get_many(Label, ids)))
    for name, (writes, reads) in reference_rates(archive, part, their).items():
        print(f"  ours/reference: written {written / 2 / writes:5.2f}x, read {ours / reads:5.2f}x   {name}")

    datasets = chain(found)
    archive.put_many(datasets)
    models, committee, trajectory = outcome(datasets[-1], given[0])
    archive.put_many([*models, committee, trajectory])
    archive.put_many(candidates(given, trajectory, committee))

    print(f"\nfind among {n} of a kind: first 20 as documents, all that match as records (ms), number, plan")
    shown = [
        (Label, query(Label, campaign="c1", generation=3)),
        (Label, query(Label, generation=3, campaign=["c0", "c1"])),
        (Structure, query(Structure, phase="alpha", generation=4)),
        (Structure, query(Structure, formula=FORMULAE[7])),
        (Candidate, query(Candidate, eps_min=0.3, eps_max=0.33)),
        (Candidate, query(Candidate, eps_min=1.5)),
        (Candidate, query(Candidate, campaign="c2", generation=9, eps_min=0.3)),
        (Label, query(Label, phase="ideal")),
        (Label, query(Label, campaign="c1")),
    ]
    for kind, criteria in shown:
        first, _ = best_ms(lambda k=kind, c=criteria: list(archive.find(k, c, limit=20)))
        whole, records = best_ms(lambda k=kind, c=criteria: list(archive.find_records(k, c, fields=FIELDS)))
        plan = plan_of(archive, kind, criteria)
        print(f"  {first:6.1f} {whole:7.1f} {len(records):6d}  {plan:32s} {kind.collection} {criteria}")

    print("\nlineage of one trajectory")
    ms, relatives = best_ms(lambda: archive.lineage.ancestors(trajectory.id, until=("lab",)))
    print(f"  {ms:6.1f} ms to all its {sum(relative.kind == 'lab' for relative in relatives)} labels")
    ms, relatives = best_ms(lambda: archive.lineage.ancestors(trajectory.id))
    print(f"  {ms:6.1f} ms to everything, {len(relatives)} documents")
    ms, _ = best_ms(lambda: archive.lineage.tree(trajectory.id))
    print(f"  {ms:6.1f} ms as a folded tree of everything, ", end="")
    ms, _ = best_ms(lambda: archive.lineage.tree(trajectory.id, until=("lab",)))
    print(f"{ms:.1f} ms down to the labels")
    ms, members = best_ms(lambda: archive.dataset_labels(datasets[-1].id))
    print(f"  {ms:6.1f} ms for the {len(members)} labels of its data set, in order, through {len(datasets)} links")

    result = audit(archive)
    documents = result.n_documents
    findings = [finding for finding in result.findings if finding.document not in {model.id for model in models}]
    print(f"\naudit: {documents} documents, {result.n_edges} edges in {result.seconds:.1f} s: ", end="")
    print(f"{documents / result.seconds:.0f} documents/s, {50_000 / documents * result.seconds:.0f} s for 50,000")
    print(f"  findings besides the files that this benchmark does not write: {len(findings)}")


def main() -> None:
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(data_dir=Path(folder), db_name="benchmark")
        server.start(settings)
        try:
            with Archive.connect(settings=settings) as archive:
                archive.init()
                report(archive, n)
        finally:
            server.stop(settings)


if __name__ == "__main__":
    main()
