"""Labelled points at which a test may kill the process, to see that nothing is lost there.

In production each is a call of an empty function.
"""

from __future__ import annotations

from collections.abc import Callable

POINTS = (
    "transition made",  # the engine has stepped; nothing is on disk
    "before commit",  # inside the journal's transaction
    "after commit",  # on disk, not yet handed to its channel
    "message made",  # rows are gathered into a message, its id not yet on disk
    "message on disk",  # the message's id is on disk, nothing was sent
    "message refused",  # the message on disk is to be tried in halves, which are not on disk
    "halves on disk",  # both are on disk, none was sent
    "accepted",  # the receiver has it, our mark is not on disk: the one window for a double
    "given up",  # a dead letter is made, its fallback is not yet
    "marked",  # the mark is on disk
)

_hook: Callable[[str], None] | None = None


def point(name: str) -> None:
    """Pass a labelled point."""
    if _hook is not None:
        _hook(name)


def set_hook(hook: Callable[[str], None] | None) -> None:
    """Have ``hook`` called at each point (None: nothing)."""
    global _hook
    _hook = hook
