"""Remembers which service took which message, so that a retry sends only what is missing."""

from __future__ import annotations

from uuid import UUID

from attrs import Factory, define

from tocsin import Message
from tocsin_apprise._reasons import Failure
from tocsin_apprise._service import Attempt, Pieces

MOST = 100
"""Messages that are remembered; the oldest are forgotten."""


@define(eq=False)
class Delivery:
    """What happened to one message; services are counted from 0.

    Attributes:
        text: the message when it was sent first. If notices are withdrawn before a retry, the
            parts that were delivered are parts of another text.
        attempts: the attempts that are running, or ended after the wait for them.
        taken: the services that took the message.
        refused: the services that will never take it, and why.
        pieces: for each service: what Apprise delivered of the message.
    """

    text: str
    attempts: dict[int, Attempt] = Factory(dict[int, Attempt])
    taken: set[int] = Factory(set[int])
    refused: dict[int, Failure] = Factory(dict[int, Failure])
    pieces: dict[int, Pieces] = Factory(dict[int, Pieces])

    @property
    def partly(self) -> bool:
        """Return whether anybody has the message, or a part of it, or may still get it."""
        running = any(not attempt.outcome.done() for attempt in self.attempts.values())
        return bool(self.taken) or any(self.pieces.values()) or running

    def settle(self) -> dict[int, Failure]:
        """Note the outcome of attempts that have ended.

        Returns:
            For each service whose attempt failed now: why.
        """
        failed: dict[int, Failure] = {}
        for number, attempt in list(self.attempts.items()):
            if not attempt.outcome.done():
                continue
            del self.attempts[number]
            failure = attempt.outcome.result()
            if failure is None:
                self.taken.add(number)
                continue
            failed[number] = failure
            if failure.permanent:
                self.refused[number] = failure
        return failed


@define(eq=False)
class Deliveries:
    """The newest messages of a channel."""

    _known: dict[UUID, Delivery] = Factory(dict[UUID, Delivery])

    def of(self, message: Message) -> Delivery:
        """Return what is known of a message, which becomes the newest."""
        text = message.words.text
        delivery = self._known.pop(message.id, None) or Delivery(text)
        if delivery.text != text:
            delivery.text = text
            # New sets: a thread that still runs adds to the old ones.
            delivery.pieces = {}
            delivery.refused = {}
        self._known[message.id] = delivery
        while len(self._known) > MOST:
            del self._known[next(iter(self._known))]
        return delivery
