"""Faults of probes: which plugin is at fault, and which checks are paused because of them."""

from __future__ import annotations

from datetime import timedelta
from typing import TypeAlias

from attrs import define, field

from tocsin.core.clock import Clock
from tocsin.core.plugin.manager import PluginManager
from tocsin.core.plugin.sandbox import PluginFault

FAULTS_TO_PAUSE = 3
"""Number of faults in a row after which a check is paused."""

PAUSE = (60.0, 3600.0)
"""Initial and maximum length of a pause, in seconds; it doubles each time."""

Key: TypeAlias = tuple[str, str]
"""Plugin, and ``target/check``."""


@define
class _Record:
    """The faults of one check, in a row."""

    faults: int = 0
    overruns: int = 0
    rests: int = 0
    resting_until: float = 0.0
    reason: str = ""


@define
class ProbeFaults:
    """Counts faults of probes, and marks their plugins as failed.

    Attributes:
        clock: the time.
        plugins: the records of the plugins.
    """

    clock: Clock
    plugins: PluginManager
    _records: dict[Key, _Record] = field(init=False, factory=dict)

    def why_resting(self, key: Key) -> str | None:
        """Return why a check is paused now, until when, and what to do; None if it is not."""
        record = self._records.get(key)
        if record is None:
            return None
        left = record.resting_until - self.clock.monotonic()
        if left <= 0:
            return None
        until = self.clock.now() + timedelta(seconds=left)
        return (
            f"the check is paused until {until:%H:%M:%S} UTC, since plugin {key[0]} "
            f"{record.reason}; repair or upgrade the plugin and start tocsin anew to check at once"
        )

    def is_right(self, key: Key) -> None:
        """Record that a probe returned a valid result."""
        if self._records.pop(key, None) is not None:
            self.plugins.recover(key[0], _part(key))

    def is_imperfect(self, key: Key, wrong: str) -> None:
        """Record that a result was partly invalid; the valid part is used."""
        self._records[key] = _Record(reason=wrong)
        self._mark(key, wrong, None)

    def faulted(self, key: Key, fault: PluginFault) -> None:
        """Record that a probe raised an error or returned nothing usable."""
        record = self._records.setdefault(key, _Record())
        record.faults += 1
        record.reason = str(fault)
        rest = None
        if fault.severe or record.faults >= FAULTS_TO_PAUSE:
            rest = min(PAUSE[0] * 2**record.rests, PAUSE[1])
            record.rests += 1
            record.resting_until = self.clock.monotonic() + rest
        self._mark(key, str(fault), rest)

    def overran(self, key: Key, timeout: float) -> None:
        """Record that a run was cancelled at its deadline of ``timeout`` seconds.

        The cause may be the target as well as the probe. The plugin is marked only if it happens
        repeatedly, and the check continues to run, since the probe obeys its cancellation.
        """
        record = self._records.setdefault(key, _Record())
        record.overruns += 1
        if (times := record.overruns) >= FAULTS_TO_PAUSE:
            said = f"did not end within its timeout of {timeout:g} s, {times} times in a row"
            self._mark(key, said, None)

    def _mark(self, key: Key, wrong: str, rest: float | None) -> None:
        plugin, check_id = key
        reason = f"{wrong} (check {check_id})"
        retry_at = None if rest is None else self.clock.now() + timedelta(seconds=rest)
        self.plugins.fail(plugin, reason, retry_at, _part(key))

    def forget(self, check_id: str) -> None:
        """Delete the record of a removed check."""
        for key in [key for key in self._records if key[1] == check_id]:
            del self._records[key]
            self.plugins.recover(key[0], _part(key))


def _part(key: Key) -> str:
    return f"check {key[1]}"
