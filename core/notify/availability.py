"""The availability of a channel: whether it works, and when it may be used next."""

from __future__ import annotations

from attrs import define

from tocsin.core.notify.deliver import MAX_RETRY_AFTER, Failure, backoff


@define
class Availability:
    """The state of a channel as its attempts have shown it. All times are monotonic seconds.

    Attributes:
        trouble: why it cannot deliver now, as a sentence; None if it can.
        disabled: why it is unusable until a person repairs it; None if it is usable.
        failing_since: when it began to fail; None if it does not fail.
        open_at: the time before which no attempt is made.
        asked_until: the time until which the provider asked for no request.
        unheard: why it does not receive commands now, as a sentence; None if it does, or never
            does.
        unheard_since: when that began; None if it receives them.
    """

    trouble: str | None = None
    disabled: str | None = None
    failing_since: float | None = None
    open_at: float = 0.0
    asked_until: float = 0.0
    unheard: str | None = None
    unheard_since: float | None = None
    _misses: int = 0
    """Failures since the channel last delivered a message."""

    @property
    def impaired_since(self) -> float | None:
        """Return since when it does not deliver, or not receive commands; None if it does."""
        known = (self.failing_since, self.unheard_since)
        return min((at for at in known if at is not None), default=None)

    def works(self) -> None:
        """Record that a message was delivered, which ends every failure."""
        self.trouble = self.disabled = self.failing_since = None
        self._misses, self.open_at = 0, self.asked_until

    def fails(self, failure: Failure, now: float) -> None:
        """Record a failed attempt whose cause is the channel, not the message."""
        if self.failing_since is None:
            self.failing_since = now
        self.trouble = failure.message

    def wait(self, failure: Failure, now: float) -> None:
        """Put off the next attempt, longer with each failure in a row."""
        self._misses += 1
        self.open_at = max(self.asked_until, now + backoff(self._misses, failure))

    def back_off(self, seconds: float, now: float) -> None:
        """Put off all requests by the seconds that the provider asked for, at most
        MAX_RETRY_AFTER."""
        self.asked_until = max(self.asked_until, now + min(seconds, MAX_RETRY_AFTER))
        self.open_at = max(self.open_at, self.asked_until)

    def hears_nothing(self, reason: str, now: float) -> None:
        """Record why commands are not received."""
        self.unheard = reason
        if self.unheard_since is None:
            self.unheard_since = now

    def hears(self) -> None:
        """Record that commands are received."""
        self.unheard = self.unheard_since = None

    def resume(self, until: float, now: float) -> None:
        """Restore the back-off of an earlier run: no attempt before ``until``."""
        self.open_at = self.asked_until = until
        if until > now:
            self.failing_since = now
