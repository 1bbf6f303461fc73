"""Time that never jumps, and goes on over restarts.

Within one run of the machine the monotonic clock is the same for every process, so a start that
knows ``(boot, monotonic, steady)`` of an earlier moment continues exactly, whatever the wall clock
did. After a boot of the machine the wall clock has to do, but never takes time back.
"""

from __future__ import annotations

from pathlib import Path

from attrs import frozen

from tocsin.core.alerts.model import Moment
from tocsin.core.clock import Clock

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@frozen(kw_only=True)
class Anchor:
    """One moment on both clocks: ``monotonic`` and ``steady`` seconds of the boot ``boot``."""

    boot: str
    monotonic: float
    steady: float


def boot_id() -> str:
    """The name of this run of the machine (Linux); empty where there is none."""
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return ""


def goes_on(before: Anchor, now: Anchor) -> bool:
    """Whether two anchors are of the same run of the machine, the first the earlier one."""
    return bool(now.boot) and before.boot == now.boot and now.monotonic >= before.monotonic


class DurableMonotonicClock:
    """Steady seconds: about those since 1970, driven by the monotonic clock alone."""

    def __init__(self, clock: Clock, before: Anchor | None = None, boot: str | None = None) -> None:
        self._clock = clock
        self._boot = boot_id() if boot is None else boot
        wall, monotonic = clock.now().timestamp(), clock.monotonic()
        if before is None:
            start = wall
        elif self._boot and before.boot == self._boot and monotonic >= before.monotonic:
            start = before.steady + monotonic - before.monotonic
        else:
            start = max(wall, before.steady)
        self._offset = start - monotonic

    def now(self) -> Moment:
        """Now, on both clocks."""
        return Moment(self._clock.monotonic() + self._offset, self._clock.now())

    def anchor(self) -> Anchor:
        """What a later start needs to go on from here."""
        monotonic = self._clock.monotonic()
        return Anchor(boot=self._boot, monotonic=monotonic, steady=monotonic + self._offset)

    def monotonic_of(self, steady: float) -> float:
        """The monotonic time of a steady one."""
        return steady - self._offset
