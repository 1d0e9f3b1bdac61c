# SPDX-License-Identifier: Apache-2.0
"""Ports of loopback for servers that are told theirs. Not those that the kernel gives to whoever asks for any:
one of these may be somebody's before its server takes it."""

import random
import socket

FIRST, LAST = 12000, 30000  # below net.ipv4.ip_local_port_range


def free_port():
    for _ in range(1000):
        port = random.SystemRandom().randint(FIRST, LAST)
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
    raise RuntimeError("no port is free")
