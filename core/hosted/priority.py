"""How much a plugin host yields the processor to the core; see sched(7)."""

from __future__ import annotations

import asyncio
import os
import random
from pathlib import Path

WHILE_LOADING = 5
"""Nice value, above that of the core, while a host imports its plugins: they have a deadline."""

LOADED = 15
"""The same afterwards."""

AUTOGROUP = Path("/proc/self/autogroup")
"""Where Linux keeps the nice value of a session. If a machine has autogroups, those of processes
count within a session only."""

AGAIN = 0.15
"""Seconds between two attempts to set it: Linux takes one in a tenth of a second, of all users."""


async def yield_to_core() -> None:
    """Lower the priority of this session, whose plugins are loaded."""
    nice = os.getpriority(os.PRIO_PROCESS, 0) + LOADED - WHILE_LOADING
    os.setpriority(os.PRIO_PGRP, 0, nice)
    while True:
        try:
            AUTOGROUP.write_text(str(LOADED))  # noqa: ASYNC240 - it does not block
        except BlockingIOError:
            await asyncio.sleep(AGAIN * random.uniform(1, 2))  # noqa: S311 - they take turns
            continue
        except OSError:  # there are none
            pass
        return
