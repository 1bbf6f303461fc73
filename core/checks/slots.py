"""Distribution of the slots for running checks, so that checks that hang do not delay others.

Each owner (the configuration, or a source whose labels request checks) has a share for each pace of
its checks. Half of the slots are divided evenly among the shares that have checks, for their use
alone; the other half is given to the checks that come first. A run that lasts longer than
SLOW_AFTER is then counted in its owner's share of slow checks, which makes room for quick ones.
"""

from __future__ import annotations

from collections import deque
from enum import IntEnum
from typing import Generic, Protocol, TypeVar

from attrs import define, field

CONFIGURATION = ""
"""The owner of the checks of the configuration."""

SLOW_AFTER = 1.0
"""Seconds after which a run counts as slow: it will be late, or exceed its timeout."""


class Pace(IntEnum):
    """How long the last run of a check took, in the order in which waiting checks are preferred."""

    QUICK = 0
    NEW = 1  # no run has ended yet
    SLOW = 2


class Waiter(Protocol):
    """What may wait for a slot."""

    @property
    def target(self) -> str:
        """Return the name of the target that is checked."""


W = TypeVar("W", bound=Waiter)


@define(eq=False)
class Share(Generic[W]):
    """The slots of one owner's checks of one pace."""

    owner: str
    pace: Pace
    members: int = 0
    """Number of checks that belong to it."""
    running: int = 0
    waiting: int = 0
    queues: dict[str, deque[W]] = field(factory=dict)
    """What waits, by target; the target whose turn it is comes first."""

    def push(self, one: W) -> None:
        """Add a check to the queue."""
        self.waiting += 1
        self.queues.setdefault(one.target, deque()).append(one)

    def pop(self) -> W:
        """Remove and return the next check: targets take turns, whatever the number of their
        checks."""
        target, queue = next(iter(self.queues.items()))
        one = queue.popleft()
        del self.queues[target]
        if queue:
            self.queues[target] = queue
        self.waiting -= 1
        return one

    def drop(self, one: W) -> None:
        """Remove a check from the queue."""
        queue = self.queues[one.target]
        queue.remove(one)
        if not queue:
            del self.queues[one.target]
        self.waiting -= 1


@define(eq=False)
class Slots(Generic[W]):
    """All slots. At most ``limit`` runs begin; half as many again may be in progress, so that those
    that turn out to be slow do not block others."""

    limit: int
    running: int = field(init=False, default=0)
    waiting: int = field(init=False, default=0)
    shares: dict[tuple[str, Pace], Share[W]] = field(init=False, factory=dict)
    _own: int = field(init=False, default=0)
    """Number of slots that each share has for itself."""
    _common: int = field(init=False, default=0)
    """Number of slots that any share may use."""
    _borrowed: int = field(init=False, default=0)
    """Number of these in use."""

    def __attrs_post_init__(self) -> None:
        """Divide the slots."""
        self._divide()

    def resize(self, limit: int) -> None:
        """Change the number of slots; runs in excess of it continue."""
        if limit != self.limit:
            self.limit = limit
            self._divide()

    def join(self, owner: str, pace: Pace) -> Share[W]:
        """Add a check to a share, and return the share."""
        share = self.share(owner, pace)
        share.members += 1
        if share.members == 1:
            self._divide()
        return share

    def share(self, owner: str, pace: Pace) -> Share[W]:
        """Return the share of an owner's checks of a pace."""
        share = self.shares.get((owner, pace))
        if share is None:
            share = self.shares[owner, pace] = Share(owner, pace)
        return share

    def leave(self, share: Share[W]) -> None:
        """Remove a check from its share."""
        share.members -= 1
        if not share.members:
            self._divide()

    def _divide(self) -> None:
        self.shares = {k: s for k, s in self.shares.items() if s.members or s.running or s.waiting}
        count = max(1, len(self.shares))
        self._own = max(1, self.limit // (2 * count))
        self._common = max(0, self.limit - count * self._own)
        self._borrowed = sum(max(0, s.running - self._own) for s in self.shares.values())

    def is_free(self, share: Share[W]) -> bool:
        """Return whether a check of a share may begin."""
        return share.running < self._own or self._borrowed < self._common

    def take(self, share: Share[W]) -> None:
        """Count a run that begins."""
        if share.running >= self._own:
            self._borrowed += 1
        share.running += 1
        self.running += 1
        if share.running == 1 and not share.members:
            self._divide()

    def give_back(self, share: Share[W]) -> None:
        """Count a run that has ended."""
        share.running -= 1
        self.running -= 1
        if share.running >= self._own:
            self._borrowed -= 1

    def may_move(self) -> bool:
        """Return whether a run that turns out to be slow may make room for others."""
        return self._borrowed < self._common + self.limit // 2

    def push(self, share: Share[W], one: W) -> None:
        """Add a check to its share's queue."""
        share.push(one)
        self.waiting += 1

    def drop(self, share: Share[W], one: W) -> None:
        """Remove a check from its share's queue."""
        share.drop(one)
        self.waiting -= 1

    def pop(self) -> W | None:
        """Remove and return the next check if there is a slot for it, else None: quick checks come
        first, and of equal pace those of the owner with the fewest runs in progress."""
        if not self.waiting:
            return None
        best: Share[W] | None = None
        for share in self.shares.values():
            if not share.waiting or not self.is_free(share):
                continue
            if best is None or (share.pace, share.running) < (best.pace, best.running):
                best = share
        if best is None:
            return None
        self.waiting -= 1
        return best.pop()
