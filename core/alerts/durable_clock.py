"""A monotonic clock that continues across restarts.

Within one boot of the machine all processes share the monotonic clock, so a start that knows
``(boot, monotonic, steady)`` of an earlier moment continues exactly, whatever the wall clock did.
After a reboot the clock continues from the wall clock, but never goes back.
"""

from __future__ import annotations

from pathlib import Path

from attrs import frozen

from tocsin.core.alerts.model import Moment
from tocsin.core.clock import Clock

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@frozen(kw_only=True)
class Anchor:
    """One moment: its ``monotonic`` and ``steady`` seconds, and the id of the ``boot``."""

    boot: str
    monotonic: float
    steady: float


def boot_id() -> str:
    """Return the kernel's id of this boot (Linux, see random(4)); empty if there is none."""
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return ""


def goes_on(before: Anchor, now: Anchor) -> bool:
    """Return whether both anchors are of the same boot, in this order."""
    return bool(now.boot) and before.boot == now.boot and now.monotonic >= before.monotonic


class DurableMonotonicClock:
    """Steady seconds: roughly Unix time, but advanced by the monotonic clock alone."""

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
        """Return the present moment on both clocks."""
        return Moment(self._clock.monotonic() + self._offset, self._clock.now())

    def anchor(self) -> Anchor:
        """Return the anchor from which a later start continues."""
        monotonic = self._clock.monotonic()
        return Anchor(boot=self._boot, monotonic=monotonic, steady=monotonic + self._offset)

    def monotonic_of(self, steady: float) -> float:
        """Convert a steady time to a monotonic one."""
        return steady - self._offset
