"""The garbage collector of a long-running process."""

import gc

YOUNG, MIDDLE, OLD = 20_000, 20, 50  # allocations, then collections, between two collections of each generation


def settle() -> None:
    """Start-up is over: what is there now stays, and short-lived data is collected less often.

    Measured with three-step runs from a full queue: 0.46 ms of CPU per run before, 0.39 ms after.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, MIDDLE, OLD)
