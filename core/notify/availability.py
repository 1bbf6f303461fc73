"""Whether a channel works, and when it may be used next."""

from __future__ import annotations

from attrs import define

from tocsin.core.notify.deliver import MAX_RETRY_AFTER, Failure, backoff


@define
class Availability:
    """What attempts have shown of a channel. All times are monotonic seconds.

    Attributes:
        trouble: why it cannot deliver now, as a sentence; None while it can.
        disabled: why it is of no use until a person mends it; None while it is.
        failing_since: when it began to fail; None where it does not.
        open_at: no attempt is made before.
        asked_until: until then the provider wants no request at all.
    """

    trouble: str | None = None
    disabled: str | None = None
    failing_since: float | None = None
    open_at: float = 0.0
    asked_until: float = 0.0
    _misses: int = 0
    """Failures since the channel last took a message."""

    def works(self) -> None:
        """A message has arrived: whatever was known against the channel is over."""
        self.trouble = self.disabled = self.failing_since = None
        self._misses, self.open_at = 0, self.asked_until

    def fails(self, failure: Failure, now: float) -> None:
        """An attempt failed for a reason that says something about the channel itself."""
        if self.failing_since is None:
            self.failing_since = now
        self.trouble = failure.message

    def wait(self, failure: Failure, now: float) -> None:
        """Put off the next attempt, longer with each failure in a row."""
        self._misses += 1
        self.open_at = max(self.asked_until, now + backoff(self._misses, failure))

    def back_off(self, seconds: float, now: float) -> None:
        """The provider asked for a rest of so many seconds; MAX_RETRY_AFTER at most are granted."""
        self.asked_until = max(self.asked_until, now + min(seconds, MAX_RETRY_AFTER))
        self.open_at = max(self.open_at, self.asked_until)

    def resume(self, until: float, now: float) -> None:
        """Go on as an earlier run had to: no attempt before ``until``."""
        self.open_at = self.asked_until = until
        if until > now:
            self.failing_since = now
