"""What is known about a container: its inspect document, and what events reported about it."""

from __future__ import annotations

import signal as signal_module
import time
from collections import deque
from typing import Any

from attrs import define, field

from tocsin import Container
from tocsin.plugins.probes.docker_health.engine import part
from tocsin.plugins.probes.docker_health.facts import (
    container_of,
    parse_time,
    start_error,
    state_of,
)
from tocsin.plugins.probes.docker_health.reasons import (
    BY_HAND,
    ENDING_SIGNALS,
    LOOP_RESTARTS,
    LOOP_WINDOW,
    SETTLED,
    Heard,
)
from tocsin.plugins.probes.docker_health.stats import Reading, Usage

KILL_COUNTS_FOR = 120.0
"""Seconds after a ``kill`` event within which it explains an end; stop timeouts can be long."""

STOP_COUNTS_FOR = 30.0
"""Seconds after an end within which a ``stop`` event explains it."""

OOM_COUNTS_FOR = 5.0
"""Seconds between an ``oom`` event and an end within which the event explains the end."""

REPEATED = 10.0  # most seconds of known events that a new connection requests again

SIGNALLED = 128
"""The exit code of a process that a signal ended, less the signal's number."""

MUTE_AFTER = 2
"""Unanswered inspect requests in a row after which the state of a container is unknown."""


def signal_number(signal: str) -> str:
    """Return the number of a signal that is given as ``15``, ``TERM`` or ``SIGTERM``."""
    name = signal.strip().upper()
    if name.isdecimal() or not name:
        return name
    try:
        return str(int(signal_module.Signals[name if name.startswith("SIG") else f"SIG{name}"]))
    except KeyError:
        return name


@define(eq=False)
class Known:
    """A container: its last inspect document, and what events reported about it."""

    id: str
    document: dict[str, Any]
    as_of: float = 0.0
    """Monotonic time at which the document was requested, or the newest event was applied."""
    misses: int = 0
    """Inspect requests in a row that the engine did not answer."""
    missed_at: float = 0.0
    blind: bool = True
    """Events since its last start may have been missed."""
    trouble: str | None = None
    """Why the engine's data about it cannot be understood, or None."""
    kill_signal: str | None = None
    killed_at: float = 0.0
    oom: bool = False
    """An ``oom`` event accompanied its last end."""
    ooms: deque[float] = field(factory=lambda: deque(maxlen=100))
    """Times of ``oom`` events since its start, in epoch seconds of the engine's clock."""
    ends: deque[float] = field(factory=lambda: deque(maxlen=100))  # monotonic; no manual stops
    began: float = 0.0
    """Monotonic time at which its last start was observed; 0: none was."""
    died_at: float = 0.0
    """Time of its last end, in epoch seconds of the engine's clock."""
    exit_code: int | None = None
    """Exit code at the last of ``ends``; the engine forgets it at the next start."""
    reading: Reading | None = None
    usage: Usage | None = None

    @property
    def running(self) -> bool:
        """Whether it has processes: a paused container has, too."""
        return state_of(self.document) in ("running", "paused")

    @property
    def mute(self) -> bool:
        """Whether the engine does not answer inspect requests about it."""
        return self.misses >= MUTE_AFTER

    @property
    def pid(self) -> int:
        """Id of its main process; 0 if there is none."""
        pid = part(self.document, "State").get("Pid")
        return pid if isinstance(pid, int) else 0

    @property
    def created(self) -> str:
        """When it was created, as the engine's text, which sorts by time."""
        return str(self.document.get("Created", ""))

    def take(self, document: dict[str, Any], asked: float) -> bool:
        """Store a document that was requested at the monotonic time ``asked``, and return True;
        return False if something newer is known."""
        if asked < self.as_of:
            return False
        self.document, self.as_of, self.trouble = document, asked, None
        return True

    def missed(self, asked: float) -> None:
        """Count an unanswered request; several that were pending at the same time count once."""
        if asked >= self.missed_at:
            self.misses += 1
            self.missed_at = time.monotonic()

    def heard(self, ahead: float = 0.0) -> Heard:
        """Return what events reported; ``ahead``: seconds by which the engine's clock is ahead."""
        now = time.monotonic()
        recent = [end for end in self.ends if now - end < LOOP_WINDOW]
        engine = time.time() + ahead
        running_for = now - self.began if self.running else None
        unseen, since = 0, 0.0
        started = parse_time(part(self.document, "State").get("StartedAt"))
        if self.blind and self.running and started and engine - started.timestamp() < SETTLED:
            # Its recent start was not observed; only the engine's count tells of earlier restarts.
            running_for = max(0.0, engine - started.timestamp())
            count = self.document.get("RestartCount")
            made = parse_time(self.document.get("Created"))
            unseen = count if isinstance(count, int) else 0
            since = engine - made.timestamp() if made else 0.0
            if unseen * LOOP_WINDOW < LOOP_RESTARTS * since:  # too rare for a loop
                unseen, since = 0, 0.0
        return Heard(
            signal=self.kill_signal,
            oom=self.oom,
            oom_before=bool(self.ooms) and not self.oom,
            ooms=sum(at > engine - LOOP_WINDOW for at in self.ooms) if self.ooms else None,
            restarts=max(len(recent), unseen),
            exit_code=self.exit_code if recent else None,
            window=now - recent[0] if recent else since,
            running_for=running_for,
            blind=self.blind,
        )

    def running_since(self, now: float, ahead: float = 0.0) -> float | None:
        """Return the monotonic time at which it started, observed or as the engine reports; None
        if it does not run.

        Args:
            now: monotonic time.
            ahead: seconds by which the engine's clock is ahead.
        """
        if not self.running:
            return None
        if self.began:
            return self.began
        started = parse_time(part(self.document, "State").get("StartedAt"), ahead)
        return now if started is None else now - max(0.0, time.time() - started.timestamp())

    def end(self, ahead: float = 0.0) -> Container | None:
        """Return its facts if it has ended; None if it runs, or if they are invalid.

        Args:
            ahead: seconds by which the engine's clock is ahead.
        """
        is_over = state_of(self.document) in ("exited", "dead", "stopped")
        if not is_over and not start_error(self.document):
            return None
        try:
            return container_of(self.document, self.heard(ahead), None, ahead)
        except Exception:  # noqa: BLE001 - Teller.about reports it
            return None

    def started(self) -> None:
        """Apply a ``start`` event: discard what explained the last end."""
        self.kill_signal, self.oom, self.blind = None, False, False
        self.began = time.monotonic()
        self.ooms.clear()
        self.reading = self.usage = None

    def killed(self, signal: str) -> None:
        """Apply a ``kill`` event: a person, or Compose, sent a signal; Podman does not name it.

        Of several signals, the first that ends containers shows the intention: SIGKILL follows
        a regular stop that takes too long.
        """
        now = time.monotonic()
        number = signal_number(signal)
        if number == signal_number(str(part(self.document, "Config").get("StopSignal") or "")):
            number = number if number in ENDING_SIGNALS else BY_HAND
        stale = now - self.killed_at > KILL_COUNTS_FOR
        if stale or self.kill_signal not in (*ENDING_SIGNALS, BY_HAND):
            self.kill_signal = number
        self.killed_at = now

    def stopped(self, at: float) -> None:
        """Apply a ``stop`` event, which comes before or after the end: a person stopped it, even
        if the signal is unknown (Podman), or none of :data:`ENDING_SIGNALS`."""
        # Between two restarts it may have ended a minute ago, with no event since.
        ended = not self.running and state_of(self.document) != "restarting"
        is_old = ended and at - self.died_at > STOP_COUNTS_FOR
        if is_old or self.kill_signal in (*ENDING_SIGNALS, BY_HAND):
            return
        self.kill_signal, self.killed_at = BY_HAND, time.monotonic()
        if self.ends and not self.running:
            self.ends.pop()  # manual stops are no restart loop

    def ran_out_of_memory(self, at: float) -> None:
        """Apply an ``oom`` event: one of its processes was killed, perhaps the main one."""
        self.ooms.append(at)
        self.oom = not self.running and abs(at - self.died_at) < OOM_COUNTS_FOR

    def has_ended_since(self, at: float, listening: float) -> bool:
        """Return whether the run that began at ``at`` has ended, so that its ``start`` event is
        outdated. Events are received from ``listening`` on; both are whole epoch seconds of the
        engine's clock."""
        if 0 < self.died_at - at < REPEATED:
            return True
        finished = parse_time(part(self.document, "State").get("FinishedAt"))
        ended = max(self.died_at, finished.timestamp() if finished else 0.0)
        return at < min(listening, ended)

    def died(self, at: float) -> None:
        """Record the time of an end, and whether an ``oom`` event explains it."""
        self.blind, self.died_at = False, at
        self.oom = any(abs(at - oom) < OOM_COUNTS_FOR for oom in self.ooms)

    def ended(self, at: float, exit_code: int) -> None:
        """Apply a ``die`` event."""
        self.died(at)
        self.reading = self.usage = None
        passed = time.monotonic() - self.killed_at
        if passed > (KILL_COUNTS_FOR if self.kill_signal else STOP_COUNTS_FOR):
            self.kill_signal = None
        if self.kill_signal in ("", str(exit_code - SIGNALLED)):  # this signal ended it
            self.kill_signal = self.kill_signal if self.kill_signal in ENDING_SIGNALS else BY_HAND
        if self.kill_signal is None:
            self.ends.append(time.monotonic())  # manual restarts are no restart loop
            self.exit_code = exit_code
