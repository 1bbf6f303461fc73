"""How long each job has been silent, and whose beats they are."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from attrs import define

from tocsin.core.clock import Clock
from tocsin.core.contracts.base import PushProbe
from tocsin.core.contracts.model import Heartbeat, Result, Target
from tocsin.core.runtime.deadline import lost_clock


class Heartbeats:
    """The silence of jobs, by key. ``beats``: the last beat of each, which others keep."""

    def __init__(self, beats: Mapping[str, Heartbeat], clock: Clock) -> None:
        self._beats = beats
        self._clock = clock
        self._lost = lost_clock()
        self._heard: dict[str, float] = {}
        """The second of the last beat, or in which watching began, by _hearing."""

    def _hearing(self) -> float:
        """Monotonic seconds without those for which tocsin stood still: no beat could arrive."""
        return self._clock.monotonic() - self._lost()

    def watch(self, key: str) -> None:
        """Count a key's silence: since the beat of an earlier run, or from now on."""
        age = 0.0
        if (beat := self._beats.get(key)) is not None:
            # Wall time is all there is across a restart; a clock set back must not give a bonus.
            age = max(0.0, (self._clock.now() - beat.at).total_seconds())
        self._heard.setdefault(key, self._hearing() - age)

    def receive(self, key: str) -> None:
        """A beat came."""
        self._heard[key] = self._hearing()

    def last(self, key: str) -> tuple[Heartbeat | None, float]:
        """The last beat, if any, and the seconds of silence since (or since the watch began)."""
        now = self._hearing()
        return self._beats.get(key), now - self._heard.get(key, now)


class Keys:
    """Which check the beats of a key go to: of those that want it, one of the configuration before
    one that a label asks for, else the one that came first. When it goes, the next one has it."""

    def __init__(self) -> None:
        self._wanted: dict[str, dict[str, bool]] = {}
        """By key, the ids of the checks that want it, and whether the configuration has them."""
        self._key: dict[str, str] = {}
        self._owner: dict[str, str] = {}

    def owner(self, key: str) -> str | None:
        """The id of the check that has a key."""
        return self._owner.get(key)

    def want(self, check_id: str, key: str | None, *, configured: bool = False) -> set[str]:
        """Say which key a check wants, or that it wants none (any more). One that still wants the
        same keeps its turn. Returns the checks whose key was given or taken by this."""
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
    """A push probe in the shape of a polled one: judges by the last beat."""

    probe: PushProbe
    check_id: str
    key: str
    keys: Keys
    heartbeats: Heartbeats
    again: Callable[[float], None]
    timeout: float = 10.0
    retries: int = 0

    async def check(self, target: Target) -> Result:
        """Judge now, and be called again the moment the verdict can change by silence alone."""
        if (owner := self.keys.owner(self.key)) != self.check_id:
            return Result.unknown(
                f"cannot run: the beats of {self.key!r} go to {owner}; only one check can have them"
            )
        last, silence = self.heartbeats.last(self.key)
        for limit in (self.probe.period, self.probe.period + self.probe.grace):
            if limit >= silence:
                self.again(limit - silence + 0.001)
                break
        return self.probe.judge(target, last, silence)
