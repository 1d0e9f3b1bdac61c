# SPDX-License-Identifier: Apache-2.0
"""Bounded waits. Where a text states a bound, the test waits ten times as long, fails
only then, and prints what it saw: shared machines are slow, a bound is not a coin toss.
All that is claimed of one moment stands in the condition: a second reading is another moment."""

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


def settled(read, quiet=0.3):
    """What read() gives when it has not changed for a while: what came before has come to its end."""
    began = since = time.monotonic()
    value = read()
    while time.monotonic() - since < quiet:
        time.sleep(0.01)
        now = read()
        if now != value:
            value, since = now, time.monotonic()
        assert since - began < 60, f"no rest: {value}"
    return value
