"""One service: delivers messages through Apprise in threads of its own."""

from __future__ import annotations

import contextvars
import threading
from concurrent.futures import Future
from typing import cast

from apprise import Apprise, AppriseResultStatus, NotifyBase, NotifyFormat, NotifyType
from apprise.plugins import base as apprise_base
from attrs import Factory, define, field, frozen

from tocsin import Message, Secret, clean_text
from tocsin_apprise._bodies import body, escape, heading
from tocsin_apprise._loading import load, mask_for, scheme_of
from tocsin_apprise._masking import Mask
from tocsin_apprise._reasons import Failure, failure_of
from tocsin_apprise._records import captured

MOST_THREADS = 4
"""Attempts of one service that may run at a time, those that hang included."""

Pieces = set[tuple[int | None, object]]
"""What Apprise knows to be delivered: recipients, and parts of a message that was split."""

# Apprise skips, in its own retries, the recipients and parts that took the message already. Given
# the same set, it does so in tocsin's retries. Not public: without it, such a message is sent to
# all recipients of the URL again.
_TRACKER = cast(
    "contextvars.ContextVar[Pieces | None] | None",
    getattr(apprise_base, "_delivery_tracker", None),
)


@frozen(kw_only=True)
class Letter:
    """A message as one service gets it."""

    title: str
    body: str
    form: NotifyFormat
    kind: NotifyType


@define(eq=False)
class Attempt:
    """An attempt to deliver one message, which goes on in its thread when nobody waits for it.

    Attributes:
        outcome: None once the service took the message, else why it did not.
        waits: how often a timeout ended the wait for it.
    """

    outcome: Future[Failure | None] = Factory(Future[Failure | None])
    waits: int = 0


@define(eq=False)
class Service:
    """A service of Apprise.

    A plugin of Apprise blocks, and keeps state that only one thread may use. Each attempt therefore
    has a thread, and a plugin object to itself, which the next attempt uses again, so that
    Apprise's pauses between two requests are kept.

    Attributes:
        label: name for people, without a secret.
        url: the Apprise URL.
        timeout: seconds that one delivery may take.
        form: the format in which messages are written; None: the one that the service prefers.
    """

    label: str
    url: Secret = field(repr=False)
    timeout: float
    form: NotifyFormat | None = None
    _idle: list[Apprise] = field(init=False, repr=False, factory=list[Apprise])
    _running: int = field(init=False, repr=False, default=0)
    _lock: threading.Lock = field(init=False, repr=False, factory=threading.Lock)
    _mask: Mask | None = field(init=False, repr=False, default=None)

    def begin(self, message: Message, kind: NotifyType, pieces: Pieces) -> Attempt:
        """Begin to deliver a message in a thread.

        Args:
            message: the message.
            kind: its kind, as Apprise knows it.
            pieces: what was delivered before; Apprise adds to it.

        Returns:
            The attempt. If it cannot begin, it has failed.
        """
        attempt = Attempt()
        attempt.outcome.set_running_or_notify_cancel()
        with self._lock:
            if self._running >= MOST_THREADS:
                attempt.outcome.set_result(
                    Failure(message=f"{self._running} earlier attempts have not ended yet")
                )
                return attempt
            self._running += 1
        try:
            # A daemon, since a plugin that hangs must not keep tocsin from stopping.
            threading.Thread(
                target=self._run,
                args=(message, kind, pieces, attempt),
                name=f"apprise {scheme_of(self.url.reveal())}",
                daemon=True,
            ).start()
        except RuntimeError as error:
            with self._lock:
                self._running -= 1
            attempt.outcome.set_result(Failure(message="no thread can be started", cause=error))
        return attempt

    def _run(self, message: Message, kind: NotifyType, pieces: Pieces, attempt: Attempt) -> None:
        try:
            outcome = self._deliver(message, kind, pieces)
        except BaseException as error:  # noqa: BLE001 - also a plugin's sys.exit
            shown = clean_text(type(error).__name__)
            outcome = Failure(message=f"Apprise's plugin failed: {shown}", cause=error)
        with self._lock:
            self._running -= 1
        attempt.outcome.set_result(outcome)

    def _deliver(self, message: Message, kind: NotifyType, pieces: Pieces) -> Failure | None:
        with captured() as records:
            with self._lock:
                used = self._idle.pop() if self._idle else None
            loaded = used or load(self.url.reveal(), self.timeout)
            plugin = loaded[0]
            letter = _write(message, kind, plugin, self.form)
            if _TRACKER is not None:
                _TRACKER.set(pieces)  # in the context of this thread only
            result = loaded.notify(
                body=letter.body,
                title=letter.title,
                notify_type=letter.kind,
                body_format=letter.form,
            )
            if self._mask is None:
                self._mask = mask_for(self.url.reveal(), plugin)
        taken = result.status is AppriseResultStatus.SUCCESS
        failure = None if taken else failure_of(list(records), self._mask)
        with self._lock:
            self._idle.append(loaded)
        return failure


def _write(
    message: Message, kind: NotifyType, plugin: NotifyBase, wanted: NotifyFormat | None
) -> Letter:
    form = wanted or plugin.resolve_format(None)
    title = heading(message.words)
    if plugin.title_maxlen <= 0:
        # Apprise puts the title into the body, without escapes. It converts both from the format
        # they are written in to that of the service.
        title = escape(title, form)
    return Letter(title=title, body=body(message.words, form), form=form, kind=kind)
