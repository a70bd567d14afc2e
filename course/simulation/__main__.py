"""`python -m course.simulation --write | --check`: the public cohort, made again or compared with its files."""

from __future__ import annotations

import argparse
import sys

from course.paths import COHORT, TRUTH
from course.simulation import PUBLIC_SEED, freeze_cohort, simulate_cohort
from course.simulation.freeze import differences, read_truth, write_truth
from reference_impl.cohort import load


def main() -> int:
    """Run the command; 1 when the frozen cohort is not what the simulator makes."""
    parser = argparse.ArgumentParser(prog="python -m course.simulation", description=__doc__)
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument("--write", action="store_true", help="write data/cohort and data/truth")
    action.add_argument("--check", action="store_true", help="compare them with a new simulation")
    arguments = parser.parse_args()
    cohort, truth = simulate_cohort(PUBLIC_SEED)
    if arguments.write:
        freeze_cohort(cohort, COHORT)
        write_truth(truth, TRUTH)
        print(f"wrote {COHORT.name} and {TRUTH.name}")
        return 0
    wrong = differences(cohort, load(folder=COHORT))
    if read_truth(TRUTH) != truth:
        wrong.append("the truth differs")
    for line in wrong:
        print(line, file=sys.stderr)
    if wrong:
        remedy = "run python -m course.simulation --write"
        print(f"the frozen cohort is not what the simulator makes: {remedy}", file=sys.stderr)
        return 1
    print("the frozen cohort is what the simulator makes")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
