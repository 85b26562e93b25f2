"""Server time of every page of the dashboard over 100,000 structures, candidates and labels of one campaign.

Run as ``python benchmarks/dashboard.py [N] [--serve]``. A server of its own is started in a temporary folder; the
campaign is the one of tests/dashboard/conftest.py, its structures, candidates, labels and generations repeated until
there are N. The aim is 300 ms a page; nothing is asserted. With --serve the dashboard stays until Ctrl-C.
"""

import importlib.util
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx

from lizrcl_flows.archive import Archive, server
from lizrcl_flows.archive.connection import embedded_uri
from lizrcl_flows.dashboard.app import create_app
from lizrcl_flows.settings import Settings

N_GENERATIONS = 30
N_SET = 500
"""Labels that one generation adds; the training set ends with ten times as many."""

BULK = 10_000
REPEATS = 7
AIM_MS = 300

Content = dict[str, Any]


def sample() -> ModuleType:
    """Return the module whose `tell` fills an archive."""
    path = Path(__file__).parents[1] / "tests" / "dashboard" / "conftest.py"
    spec = importlib.util.spec_from_file_location("dashboard_sample", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def repeated(archive: Archive, ids: dict[str, str], n: int) -> None:
    """Write n structures, candidates and labels like the ones that are there, over thirty generations."""
    database = archive.connection.database
    chosen = {"generation": 2}
    structure = database["structures"].find_one(chosen)
    candidate = database["candidates"].find_one(chosen)
    label = database["labels"].find_one({**chosen, "status": "accepted"})
    assert structure is not None
    assert candidate is not None
    assert label is not None
    run, level = candidate["trajectory"], label["level"]
    for start in range(0, n, BULK):
        found: dict[str, list[Content]] = {"structures": [], "candidates": [], "labels": [], "lineage": []}
        for number in range(start, min(start + BULK, n)):
            index = number * N_GENERATIONS // n
            one, two, three = (f"{kind}_{number:020x}" for kind in ("str", "can", "lab"))
            verdict = "selected" if number % 50 == 0 else ("rejected" if number % 3 else "spare")
            told = {"structure": one, "generation": index}
            found["structures"].append({**structure, "_id": one, "generation": index})
            found["candidates"].append(
                {**candidate, **told, "_id": two, "verdict": verdict, "eps": 0.1 + number * 0.7919 % 1}
            )
            found["labels"].append({**label, **told, "_id": three})
            for name, kind, parents in ((one, "str", []), (two, "can", [one, run]), (three, "lab", [one, level])):
                place = {"campaign": structure["campaign"], "generation": index, "digest": structure["digest"]}
                found["lineage"].append({"_id": name, "kind": kind, "parents": parents, **place})
        for name, records in found.items():
            database[name].insert_many(records, ordered=False)
    extended(archive, ids)


def extended(archive: Archive, ids: dict[str, str]) -> None:
    """Write the other generations, and a training set that is a chain of ten."""
    database = archive.connection.database
    generation = database["generations"].find_one({"_id": ids["generation 2"]})
    dataset = database["datasets"].find_one({"_id": ids["dataset"]})
    assert generation is not None
    assert dataset is not None
    parent = dataset["parent"]
    for index in range(10):
        name = f"dat_{index:020x}"
        added = [f"lab_{number:020x}" for number in range(index * N_SET, (index + 1) * N_SET)]
        parents = [*([parent] if parent else []), *added]
        told = {"_id": name, "parent": parent, "added": added, "parents": parents, "n_labels": (index + 1) * N_SET}
        database["datasets"].insert_one({**dataset, **told})
        node = {"_id": name, "kind": "dat", "parents": parents, "campaign": "shown", "generation": index}
        database["lineage"].insert_one({**node, "digest": dataset["digest"]})
        parent = name
    for index in range(3, N_GENERATIONS):
        told = {"_id": f"gen_{index:020x}", "index": index, "generation": index, "dataset": parent}
        database["generations"].insert_one({**generation, **told})
    ids["long dataset"] = str(parent)
    ids["late generation"] = f"gen_{N_GENERATIONS - 1:020x}"
    ids["late label"] = f"lab_{5:020x}"


def addresses(ids: dict[str, str]) -> Iterator[str]:
    """Yield every page, and what pages ask for."""
    yield from ("/", "/campaigns/shown", "/campaigns/shown/map", "/campaigns/shown/map/data", "/production/shown")
    yield from ("/campaigns/shown/map?generation=all", "/campaigns/shown/map/data?generation=all")
    yield f"/generations/{ids['late generation']}"
    yield from (f"/documents/{ids[name]}" for name in ("late label", "long dataset", "campaign", "evaluation"))
    yield f"/documents/{ids['late label']}/view"
    yield from (f"/lineage/{ids[name]}" for name in ("long dataset", "level", "late label"))
    for name, direction in (("long dataset", "up"), ("level", "down")):
        yield f"/lineage/{ids[name]}/branch?direction={direction}&kind=lab&page=3"
    yield "/collections/labels"
    yield "/collections/candidates?query=%7B%22eps%22%3A%7B%22%24gte%22%3A0.5%7D%7D&sort=-eps&page=20"
    yield "/collections/structures?page=1500"
    yield f"/api/labels/{ids['late label']}?arrays=true"


def main() -> None:
    numbers = [word for word in sys.argv[1:] if word.isdigit()]
    n = int(numbers[0]) if numbers else 100_000
    module = sample()
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(data_dir=Path(folder), db_timeout_s=20.0)
        server.start(settings)
        try:
            with Archive.connect(settings=settings) as archive:
                archive.init()
                started = time.perf_counter()
                ids = module.tell(archive, Path(folder))
                repeated(archive, ids, n)
                print(f"{n} structures, candidates and labels written in {time.perf_counter() - started:.0f} s")
            print(f"database at {embedded_uri(settings)}")
            with module.served(create_app(settings)) as address:
                measure(address, ids)
                if "--serve" in sys.argv:
                    print(f"{address}/ until Ctrl-C; ids: {ids}", flush=True)
                    while True:
                        time.sleep(1)
        except KeyboardInterrupt:
            print("ended")
        finally:
            server.stop(settings)


def measure(address: str, ids: dict[str, str]) -> None:
    """Print the time of each page: the first and the median of what follows, and its size."""
    print(f"{'first':>8} {'median':>8} {'kB':>7}  page (ms; aim {AIM_MS})")
    slow = 0
    with httpx.Client(base_url=address, timeout=60) as client:
        for path in addresses(ids):
            times = []
            for _ in range(REPEATS):
                started = time.perf_counter()
                answer = client.get(path)
                times.append(1000 * (time.perf_counter() - started))
                answer.raise_for_status()
            median = statistics.median(times[1:])
            slow += max(times) > AIM_MS
            print(f"{times[0]:8.0f} {median:8.0f} {len(answer.content) / 1000:7.0f}  {path}")
    print(f"{slow} pages took longer than {AIM_MS} ms at least once")


if __name__ == "__main__":
    main()
