"""Named points at which a test may kill the process, to verify that nothing is lost there.

In production, each is a call of an empty function.
"""

from __future__ import annotations

from tocsin.core.runtime.process import PROCESS

POINTS = (
    "transition made",  # the engine has made its step; nothing is on disk
    "before commit",  # inside the journal's transaction
    "after commit",  # on disk, not yet given to its channel
    "message made",  # rows are collected in a message, whose id is not yet on disk
    "message on disk",  # the message's id is on disk, nothing was sent
    "message refused",  # the message on disk is to be tried in halves, which are not on disk
    "halves on disk",  # both are on disk, none was sent
    "accepted",  # the receiver has it, our record is not on disk: the one window for a duplicate
    "given up",  # a dead letter is made, its fallback is not yet
    "marked",  # the record is on disk
)


def point(name: str) -> None:
    """Pass a named point."""
    if PROCESS.crash_hook is not None:
        PROCESS.crash_hook(name)
