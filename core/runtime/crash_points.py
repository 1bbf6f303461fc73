"""Labelled points at which a test may kill the process, to see that nothing is lost there.

In production each is a call of an empty function.
"""

from __future__ import annotations

from tocsin.core.runtime.process import PROCESS

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


def point(name: str) -> None:
    """Pass a labelled point."""
    if PROCESS.crash_hook is not None:
        PROCESS.crash_hook(name)
