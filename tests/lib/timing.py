# SPDX-License-Identifier: Apache-2.0
"""What the time of an answer tells: requests for several names on one connection, in an order
that is drawn anew each round, so that what the machine does otherwise falls on all alike."""

import random
import statistics
import time


def times(connection, names, rounds, status=403):
    """Microseconds by name."""
    taken = {n: [] for n in names}
    for _ in range(rounds):
        for n in random.sample(names, len(names)):
            began = time.perf_counter_ns()
            answer = connection.request(f"/v1/tokens/{n}")
            taken[n].append((time.perf_counter_ns() - began) / 1000)
            assert answer.status == status
    return taken


def distribution(taken):
    """median, p10, p90, p99"""
    cuts = statistics.quantiles(taken, n=100)
    return statistics.median(taken), cuts[9], cuts[89], cuts[98]
