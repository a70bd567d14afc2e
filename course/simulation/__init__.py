"""The simulator behind the cohort: one causal story, five instruments, and everything that can go wrong.

    catalog/    real identifiers; how invented ones look
    features    what is measured: the columns of every layer
    story       what is true: variant → methylation → transcript → protein → metabolite → outcome
    faults      what goes wrong: swaps, failed libraries, missing plasma, …
    measure     what the instruments make of it
    freeze      files with checksums, and back
    accept      does the reference find every planted fault?
    draw        a class's own cohort from its key

`python -m course.simulation --write` makes the public cohort again, `--check` compares.
"""

from course.simulation.cohort import PUBLIC_SEED, simulate_cohort
from course.simulation.draw import draw_class_cohort
from course.simulation.freeze import freeze_cohort

__all__ = ["PUBLIC_SEED", "draw_class_cohort", "freeze_cohort", "simulate_cohort"]
