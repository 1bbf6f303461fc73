"""What a long-running process does about garbage."""

from __future__ import annotations

import subprocess
import sys

CODE = """
import gc
from tocsin.core.runtime.gc_tuning import YOUNG, settle

class Knot:
    left = 0
    def __init__(self):
        Knot.left += 1
        self.me = self
    def __del__(self):
        Knot.left -= 1

kept = [[n] for n in range(1000)]
settle()
frozen = gc.get_freeze_count()
for _ in range(10 * YOUNG):
    Knot()
print(frozen >= len(kept), Knot.left)
"""


HELD = """
import gc
from tocsin.core.runtime.gc_tuning import held, settle

with held():
    inside = gc.isenabled()
    settle()
    settled = gc.isenabled()
try:
    with held():
        raise KeyError
except KeyError:
    pass
print(inside, settled, gc.isenabled())
"""


def test_nothing_is_collected_while_tocsin_starts() -> None:
    """Until it has settled; after the block, or an error in it, garbage is looked for again."""
    done = subprocess.run(
        [sys.executable, "-c", HELD], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.split() == ["False", "True", "True"]


def test_what_was_there_is_left_alone_and_garbage_is_still_found() -> None:
    """After settling, what is there is looked at no more; knots tied later are still undone."""
    done = subprocess.run(
        [sys.executable, "-c", CODE], capture_output=True, text=True, check=True, timeout=60
    )
    permanent, left = done.stdout.split()
    assert permanent == "True"
    assert int(left) <= 2 * 20_000
