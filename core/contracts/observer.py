"""What observers are told: the changes in the life of every alert, and their contract."""

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
    ``notify``: people were to be told; where they were not, ``reason`` names why and ``why`` says
    it in a sentence. ``downtime`` in seconds, once resolved; ``actor`` is the person behind it.
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
    """Is told of every change of every alert, one after the other, once it is in the journal.

    An observer learns; it does not deliver: what it misses while tocsin is down, or because it is
    slower than what happens, is not told again. Whoever must not miss anything is a notifier.
    """

    @abstractmethod
    async def changed(self, change: AlertChange) -> None:
        """Take note of a change. An exception is the plugin's fault; the next change comes all the
        same."""

    async def close(self) -> None:
        """Let go of what the observer holds; called when tocsin stops or its options change."""
