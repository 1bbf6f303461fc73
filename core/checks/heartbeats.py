"""How long ago each job sent its last heartbeat, and which check receives a job's heartbeats."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from attrs import define

from tocsin.core.clock import Clock
from tocsin.core.contracts.model import Heartbeat, Result, Target
from tocsin.core.contracts.probe import PushProbe
from tocsin.core.hosts.proxies import HostedPushProbe
from tocsin.core.runtime.deadline import lost_clock
from tocsin.core.shapes import fit_result


class Heartbeats:
    """The time since each job's last heartbeat, by key.

    Args:
        beats: the last heartbeats by key; kept up to date by others.
        clock: the time.
    """

    def __init__(self, beats: Mapping[str, Heartbeat], clock: Clock) -> None:
        self._beats = beats
        self._clock = clock
        self._lost = lost_clock()
        self._heard: dict[str, float] = {}
        """When the last heartbeat arrived, or watching began, in the time of _hearing."""

    def _hearing(self) -> float:
        """Return monotonic seconds without those for which tocsin stood still, when no heartbeat
        could arrive."""
        return self._clock.monotonic() - self._lost()

    def watch(self, key: str) -> None:
        """Begin to watch a key: count from the heartbeat of an earlier run, or else from now."""
        age = 0.0
        if (beat := self._beats.get(key)) is not None:
            # Only wall time continues across a restart; a clock set back must not extend the time.
            age = max(0.0, (self._clock.now() - beat.at).total_seconds())
        self._heard.setdefault(key, self._hearing() - age)

    def receive(self, key: str) -> None:
        """Record that a heartbeat has arrived."""
        self._heard[key] = self._hearing()

    def last(self, key: str) -> tuple[Heartbeat | None, float]:
        """Return the last heartbeat (None if there was none), and the seconds since, or since the
        watch began."""
        now = self._hearing()
        return self._beats.get(key), now - self._heard.get(key, now)


class Keys:
    """Which check receives the heartbeats of a key. Checks of the configuration take precedence
    over checks requested by labels; otherwise the first check keeps the key until it is removed."""

    def __init__(self) -> None:
        self._wanted: dict[str, dict[str, bool]] = {}
        """By key: ids of the checks that want it, and whether the configuration has them."""
        self._key: dict[str, str] = {}
        self._owner: dict[str, str] = {}

    def owner(self, key: str) -> str | None:
        """Return the id of the check that receives the heartbeats of a key, or None."""
        return self._owner.get(key)

    def want(self, check_id: str, key: str | None, *, configured: bool = False) -> set[str]:
        """Set the key that a check wants. A check that still wants the same keeps its place.

        Args:
            check_id: the check.
            key: the key; None: none any more.
            configured: whether the check is of the configuration.

        Returns:
            Ids of the other checks that gained or lost a key by this.
        """
        before = self._key.pop(check_id, None)
        changed: set[str] = set()
        if before is not None and before != key:
            del self._wanted[before][check_id]
            changed |= self._choose(before)
        if key is not None:
            self._key[check_id] = key
            self._wanted.setdefault(key, {})[check_id] = configured
            changed |= self._choose(key)
        return changed - {check_id}

    def _choose(self, key: str) -> set[str]:
        wanted, before = self._wanted[key], self._owner.pop(key, None)
        owner = before if before in wanted else None
        if owner is None or not wanted[owner]:
            owner = next((each for each, configured in wanted.items() if configured), owner)
        if owner is None:
            owner = next(iter(wanted), None)
        if owner is None:
            del self._wanted[key]
        else:
            self._owner[key] = owner
        return set() if owner == before else {each for each in (before, owner) if each}


@define
class BeatJudge:
    """Adapts a push probe to the interface of a polled one: it judges by the last heartbeat."""

    probe: PushProbe
    check_id: str
    key: str
    keys: Keys
    heartbeats: Heartbeats
    again: Callable[[float], None]
    timeout: float = 10.0
    retries: int = 0
    is_used: bool = False
    context: None = None

    def is_open_in(self, _: asyncio.AbstractEventLoop | None) -> bool:
        """Return True: a push probe has no runtime."""
        return True

    async def open(self) -> None:
        """Do nothing: a push probe has no runtime."""

    async def close(self) -> None:
        """Do nothing: a push probe has no runtime."""

    async def look(self, target: Target) -> tuple[Result, str | None]:
        """Return the result now, and what was invalid in it or None; schedule a run at the time
        when silence alone may change it."""
        if (owner := self.keys.owner(self.key)) != self.check_id:
            text = f"heartbeats of {self.key!r} go to {owner}; a key serves one check only"
            return Result.unknown(f"cannot run: {text}"), None
        last, silence = self.heartbeats.last(self.key)
        for limit in (self.probe.period, self.probe.period + self.probe.grace):
            if limit >= silence:
                self.again(limit - silence + 0.001)
                break
        if isinstance(self.probe, HostedPushProbe):
            return await self.probe.tocsin_look(target, last, silence)
        return fit_result(self.probe.judge(target, last, silence), "judge")
