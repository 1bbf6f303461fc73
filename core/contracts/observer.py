"""The contract of observers, and the alert changes that they receive."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from attrs import Factory, frozen

from tocsin.core.contracts.rule import Severity


@frozen(kw_only=True)
class AlertChange:
    """One change in the life of one alert.

    ``kind`` is ``pending``, ``cancelled``, ``fired``, ``reopened``, ``released``, ``repeated``,
    ``flapping``, ``escalated``, ``suppressed``, ``acknowledged``, ``unacknowledged``, ``resolved``
    or ``closed``. ``id`` is the change's own, ``alert`` the alert's; ``at`` is aware UTC.
    ``notify``: whether people are notified of it; where they are not, ``reason`` is a word for the
    cause and ``why`` a sentence. ``downtime`` is in seconds, once resolved; ``actor`` is the person
    who caused the change.
    """

    id: UUID
    alert: UUID
    kind: str
    rule: str
    target: str
    severity: Severity
    message: str
    at: datetime
    notify: bool = False
    reason: str = ""
    why: str = ""
    actor: str | None = None
    downtime: float | None = None
    details: Mapping[str, Any] = Factory(dict)


@frozen(kw_only=True)
class Observer(ABC):
    """Receives every change of every alert, one at a time, after the journal has recorded it.

    Changes that an observer misses, because tocsin is down or because the observer is too slow,
    are not sent again. A plugin that must not miss a change has to be a notifier.
    """

    @abstractmethod
    async def changed(self, change: AlertChange) -> None:
        """Process one change.

        An exception counts as a fault of the plugin; the next change is delivered nevertheless.
        """

    async def close(self) -> None:
        """Release the observer's resources; called when tocsin stops or its options change."""
