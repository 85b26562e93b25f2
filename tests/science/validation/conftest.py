"""The analytic pair potential of the tests, by import."""

import sys
from pathlib import Path

CALCULATORS = str(Path(__file__).parents[2] / "calculators")
if CALCULATORS not in sys.path:
    sys.path.insert(0, CALCULATORS)
