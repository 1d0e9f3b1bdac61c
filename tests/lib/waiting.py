# SPDX-License-Identifier: Apache-2.0
"""Bounded waits. Where a text states a bound, the test waits ten times as long, fails
only then, and prints what it saw: shared machines are slow, a bound is not a coin toss."""

import time

PATIENCE = 10


def wait_for(what, condition, bound):
    """Waits until condition() is true. bound: the stated seconds. Returns the seconds it took."""
    began = time.monotonic()
    while True:
        if condition():
            took = time.monotonic() - began
            print(f"figure: {what}: {took:.3f} s (stated {bound} s)")
            return took
        if time.monotonic() - began > bound * PATIENCE:
            raise AssertionError(f"{what}: not within {bound * PATIENCE} s (stated {bound} s)")
        time.sleep(0.005)
