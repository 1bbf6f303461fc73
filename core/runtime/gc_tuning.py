"""How Python looks for garbage, for a process that keeps much and makes little of it.

What is set up at the start stays, and what a check makes is freed by its reference counts as soon
as the check is over. The collector, which by default looks through the young objects at every 700th
new one and through all of them now and then, would spend a third of a busy core on finding nothing.
"""

from __future__ import annotations

import gc

YOUNG = 20_000
"""New objects before the young ones are looked through; some 2 ms each time."""


def settle() -> None:
    """Take what there is now for permanent, and look at what comes less often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, 20, 20)
