"""A campaign of many generations on the demo system, end to end on this machine, and what orchestration adds to it.

Run as ``python benchmarks/campaign.py [GENERATIONS]`` (25 where absent). Labels are GFN1-xTB's, NEPs are really
trained, dynamics are really run. Printed: wall time, the time that the engines had by their own documents, and the
rest: jobflow, the archive, screening, evaluation. The reference is the asked hour.
"""

import os
import sys
import tempfile
import time
from pathlib import Path

from lizrcl_flows.archive import Archive, server
from lizrcl_flows.archive.jobstore import job_store
from lizrcl_flows.documents import Generation
from lizrcl_flows.flows.campaigns import new_campaign, run_campaign
from lizrcl_flows.jobs.turns import AdvanceReport
from lizrcl_flows.settings import Settings
from lizrcl_flows.systems import load_campaign

ASKED_S = 3600.0


def spec(generations: int):
    return load_campaign(
        {
            "name": "long",
            "system": "demo",
            "max_generations": generations,
            "selection": {"n_structures": 4},
            "budget": {"labels": 32 + 12 + 4 * generations},
            "convergence": {"n_generations": generations + 1},  # it is not to stop before
            "training": {"steps": 1500},
        }
    )


def main() -> None:
    generations = int(sys.argv[1]) if len(sys.argv) > 1 else 25
    with tempfile.TemporaryDirectory() as name:
        settings = Settings(data_dir=Path(name) / "data")
        server.start(settings)
        try:
            with Archive.connect(settings=settings) as archive:
                archive.init()
                variables = {"LIZRCL_DB_URI": archive.uri, "LIZRCL_DB_NAME": archive.database_name}
                os.environ.update(variables, LIZRCL_DATA_DIR=str(settings.data_dir))
                run(archive, Path(name), generations)
        finally:
            server.stop(settings)


def run(archive: Archive, folder: Path, generations: int) -> None:
    campaign = new_campaign(archive, spec(generations))
    store = job_store(archive.uri, archive.database_name)
    started, last = time.perf_counter(), time.perf_counter()

    def say(report: AdvanceReport) -> None:
        nonlocal last
        now = time.perf_counter()
        print(f"{now - started:7.0f} s  (+{now - last:4.0f} s)  {report.turn}: {report.sentence}", flush=True)
        last = now

    ended = run_campaign(archive, campaign.id, store, folder / "jobs", on_turn=say)
    wall = time.perf_counter() - started
    store.close()
    closed = list(archive.find(Generation, {"campaign_id": campaign.id}, sort=[("index", 1)]))
    by_stage: dict[str, float] = {}
    for generation in closed:
        for timing in generation.timings:
            by_stage[timing.stage] = by_stage.get(timing.stage, 0.0) + timing.wall_s
    engines = sum(by_stage.values())
    print(f"state {ended.state}, {len(closed)} generations, {ended.labels_spent} labels")
    print("engines: " + ", ".join(f"{stage} {seconds:.0f} s" for stage, seconds in by_stage.items()))
    rest = wall - engines
    print(f"wall {wall:.0f} s, {wall / ASKED_S:.2f}x the hour (lower is better), of which the engines {engines:.0f} s")
    print(f"the rest {rest:.0f} s: {rest / len(closed):.1f} s a generation, {rest / wall:.0%} of all")


if __name__ == "__main__":
    main()
