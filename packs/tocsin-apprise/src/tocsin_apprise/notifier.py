"""The notifier ``apprise``: sends messages to every service that Apprise knows.

Apprise (https://github.com/caronc/apprise, https://appriseit.com) addresses each service by a URL.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from enum import StrEnum

from apprise import NotifyFormat, NotifyType
from attrs import Attribute, define, field, frozen

from tocsin import (
    Context,
    Kind,
    Message,
    Notifier,
    NotifierRuntime,
    NotifyError,
    Receipt,
    Secret,
    Severity,
    hookimpl,
)
from tocsin_apprise._deliveries import Deliveries, Delivery
from tocsin_apprise._loading import load, scheme_of
from tocsin_apprise._reasons import Failure
from tocsin_apprise._service import Service

MOST_URLS = 50

WAITS = 2
"""Timeouts after which an attempt counts as hanging, and the message is sent anew."""

_KINDS = {
    Severity.INFO: NotifyType.INFO,
    Severity.WARNING: NotifyType.WARNING,
    Severity.CRITICAL: NotifyType.FAILURE,
}


class BodyFormat(StrEnum):
    """The format in which messages are written. ``auto``: the one that each service prefers."""

    AUTO = "auto"
    TEXT = "text"
    MARKDOWN = "markdown"
    HTML = "html"


def _as_list(urls: Secret | tuple[Secret, ...]) -> tuple[Secret, ...]:
    return (urls,) if isinstance(urls, Secret) else urls


def _label(number: int, url: Secret, many: int) -> str:
    """Return a name for people: position and scheme, which contain no secret."""
    scheme = scheme_of(url.reveal())
    if many == 1:
        return scheme or "no scheme"
    return f"URL {number + 1} ({scheme})" if scheme else f"URL {number + 1}"


def _check_urls(
    notifier: AppriseNotifier,
    _: Attribute[Secret | tuple[Secret, ...]],
    value: Secret | tuple[Secret, ...],
) -> None:
    urls = _as_list(value)
    if not urls:
        raise ValueError('must have at least one Apprise URL, such as "ntfy://host/topic"')
    if len(urls) > MOST_URLS:
        raise ValueError(f"must have at most {MOST_URLS} URLs; use a second channel for the others")
    wrong: list[str] = []
    for number, url in enumerate(urls):
        try:
            load(url.reveal(), notifier.timeout)
        except ValueError as error:
            label = _label(number, url, len(urls))
            wrong.append(f"{label if len(urls) > 1 else f'the URL ({label})'} {error}")
    if wrong:
        raise ValueError("; ".join(wrong))


@frozen(kw_only=True)
class AppriseNotifier(Notifier):
    """Send messages to any of the services that Apprise knows.

    Attributes:
        urls: one Apprise URL, or a list of them; each gets every message.
        body_format: auto, text, markdown or html; auto: what each service prefers.
    """

    urls: Secret | tuple[Secret, ...] = field(validator=_check_urls)
    body_format: BodyFormat = BodyFormat.AUTO

    async def open(self, context: Context) -> AppriseChannel:
        """Return what delivers to the services."""
        return AppriseChannel(self)


@define(eq=False)
class AppriseChannel(NotifierRuntime):
    """Delivers the messages of one channel.

    Attributes:
        options: its options.
    """

    options: AppriseNotifier
    _services: list[Service] = field(init=False)
    _deliveries: Deliveries = field(init=False, factory=Deliveries)

    def __attrs_post_init__(self) -> None:
        urls, timeout = _as_list(self.options.urls), self.options.timeout
        auto = self.options.body_format is BodyFormat.AUTO
        form = None if auto else NotifyFormat(self.options.body_format.value)
        self._services = [
            Service(_label(number, url, len(urls)), url, timeout, form)
            for number, url in enumerate(urls)
        ]

    async def send(self, message: Message) -> Receipt:
        """Deliver a message to every service that does not have it yet.

        Raises:
            NotifyError: at least one service did not take it; the text says which, and why.
        """
        delivery = self._deliveries.of(message)
        delivery.settle()  # what ended after the last wait; what failed then is repeated now
        for number, service in enumerate(self._services):
            if number in delivery.taken or number in delivery.refused:
                continue
            attempt = delivery.attempts.get(number)
            if attempt is None or attempt.waits >= WAITS:
                pieces = delivery.pieces.setdefault(number, set())
                delivery.attempts[number] = service.begin(message, kind_of(message), pieces)
        late = await self._wait(delivery)
        failed = {**delivery.refused, **delivery.settle(), **late}
        if failed:
            raise self._error(delivery, failed)
        labels = ", ".join(service.label for service in self._services)
        return Receipt(answer=f"delivered by Apprise: {labels}")

    async def _wait(self, delivery: Delivery) -> Mapping[int, Failure]:
        """Wait for the attempts of a message; return those that did not end in time."""
        attempts = dict(delivery.attempts)
        waiting = {
            asyncio.wrap_future(attempt.outcome)
            for attempt in attempts.values()
            if not attempt.outcome.done()
        }
        if waiting:
            try:
                await asyncio.wait(waiting, timeout=self.options.timeout)
            finally:
                for future in waiting:
                    future.cancel()  # the wait, not the attempt
        late: dict[int, Failure] = {}
        for number, attempt in attempts.items():
            if not attempt.outcome.done():
                attempt.waits += 1
                late[number] = Failure(message=f"no answer within {self.options.timeout:g} s")
        return late

    def _error(self, delivery: Delivery, failed: Mapping[int, Failure]) -> NotifyError:
        """Return one error for all services that did not take a message."""
        reasons = [
            f"{self._services[number].label}: {failed[number].message}" for number in sorted(failed)
        ]
        have = len(self._services) - len(failed)
        if have:
            reasons.append(f"{have} of {len(self._services)} URLs took the message")
        failures = list(failed.values())
        permanent = all(failure.permanent for failure in failures)
        # A half of the message would be a new message, and sent to all. Halves are therefore out
        # of the question if anybody has the whole, or a part of it.
        partly = delivery.partly
        waits = [f.retry_after for f in failures if f.retry_after is not None]
        error = NotifyError(
            "; ".join(reasons),
            permanent=permanent,
            everything=permanent and (partly or all(f.everything for f in failures)),
            answered=not partly and all(f.answered for f in failures),
            retry_after=max(waits, default=None) if not permanent else None,
        )
        error.__cause__ = next((f.cause for f in failures if f.cause is not None), None)
        return error


def kind_of(message: Message) -> NotifyType:
    """Return Apprise's kind for a message: success once all its alerts have ended."""
    if all(notice.kind is Kind.RESOLVED for notice in message.notices):
        ended_well = all(notice.recovered for notice in message.notices)
        return NotifyType.SUCCESS if ended_well else NotifyType.INFO
    return _KINDS[message.severity]


@hookimpl
def tocsin_notifiers() -> dict[str, type[Notifier]]:
    """Announce the notifier."""
    return {"apprise": AppriseNotifier}


__all__ = ["AppriseChannel", "AppriseNotifier", "BodyFormat", "kind_of", "tocsin_notifiers"]
