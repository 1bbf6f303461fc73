"""The contract of observers, and the alert changes that they receive."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from attrs import Factory, frozen

from tocsin.core.contracts.context import Context
from tocsin.core.contracts.rule import Severity


@frozen(kw_only=True)
class AlertChange:
    """One change in the life of one alert.

    Attributes:
        id: identifies the change.
        alert: id of the alert.
        kind: ``pending``, ``cancelled``, ``fired``, ``reopened``, ``released``, ``repeated``,
            ``flapping``, ``escalated``, ``suppressed``, ``acknowledged``, ``unacknowledged``,
            ``resolved`` or ``closed``.
        rule: name of the alert's rule.
        target: name of the alert's target.
        severity: of the alert after the change.
        message: the rule's message, one sentence.
        at: when the alert changed, aware UTC.
        notify: whether people are notified of the change.
        reason: the code of the cause if they are not.
        why: the cause as a sentence.
        actor: the person who caused the change, if any.
        downtime: seconds from the start of the trouble to its end, once resolved.
        details: what the rule found.
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


class ObserverRuntime(ABC):
    """What processes the changes for one :class:`Observer`."""

    __slots__ = ()

    @abstractmethod
    async def changed(self, change: AlertChange) -> None:
        """Process one change.

        Args:
            change: the change.

        Raises:
            Exception: counts as a fault of the plugin; the next change is delivered nevertheless.
        """

    async def close(self) -> None:
        """Release the runtime's resources; called when tocsin stops or its options change."""


@frozen(kw_only=True)
class Observer(ObserverRuntime):
    """The options of an observer, which receives every change of every alert, one at a time, after
    the journal has recorded it.

    Changes that an observer misses, because tocsin is down or because the observer is too slow,
    are not sent again. A plugin that must not miss a change has to be a notifier. An observer
    without state defines :meth:`changed`; one that keeps anything defines :meth:`open`.
    """

    async def open(self, context: Context) -> ObserverRuntime:
        """Return what processes changes; without a definition of its own, the observer itself.

        Called before the first change, and again for the next one if it raises.

        Args:
            context: what the core gives to the runtime.
        """
        return self

    async def changed(self, change: AlertChange) -> None:
        """Process one change; see :meth:`ObserverRuntime.changed`."""
        raise NotImplementedError(f"{type(self).__name__} defines neither changed nor open")
