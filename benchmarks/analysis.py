"""All benchmarks of the analysis of trajectories in one run: reading, displacements, local structure.

Each part runs in a process of its own, one after the other, and prints what it measures; at the end stands one table of
all ratios. Ratios are of CPU times in the same process, so that they mean the same on a busy machine.

Some peers are no dependencies of this project. Install them into a folder of their own, as they would replace packages,
and add it to the path; one that cannot be imported is named as missing and the others run:

    pip install --target peers --no-deps tidynamics MDAnalysis mmtf-python gridDataFormats mda-xdrlib kinisi scipp \
        emcee corner dynesty uncertainties statsmodels patsy tqdm beautifulsoup4 soupsieve pymatgen-analysis-diffusion
    PYTHONPATH=peers OMP_NUM_THREADS=1 python benchmarks/analysis.py
"""

import re
import subprocess
import sys
from pathlib import Path

PARTS = ("analysis_reading.py", "analysis_msd.py", "analysis_structure.py")

_RATIO = re.compile(r"^(?P<what>.*?)\s{2,}(?P<ours>[\d.,]+ m?s)\s+(?P<ratio>[\d.,]+) x faster than (?P<peer>.+)$")


def run(part: str) -> list[str]:
    """Run a part, print its lines as they come, and return them."""
    print(f"--- {part}", flush=True)
    command = [sys.executable, str(Path(__file__).with_name(part))]
    lines = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout or ():
            print(line, end="", flush=True)
            lines.append(line.rstrip())
    if process.returncode:
        print(f"{part} ended with exit code {process.returncode}")
    return lines


def main(parts: tuple[str, ...]) -> None:
    lines = [line for part in parts if Path(__file__).with_name(part).exists() for line in run(part)]
    rows = [match.groupdict() for line in lines if (match := _RATIO.match(line))]
    print(f"\n{'quantity':<60} {'ours':>12} {'times faster':>13}  than")
    for row in rows:
        print(f"{row['what']:<60} {row['ours']:>12} {row['ratio']:>13}  {row['peer']}")
    for line in lines:
        if " is missing" in line:
            print(line)


if __name__ == "__main__":
    main(tuple(sys.argv[1:]) or PARTS)
