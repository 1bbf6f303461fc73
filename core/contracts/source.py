"""The contract of sources: what streams observations of many targets."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any, ClassVar, Literal, Protocol

from attrs import Factory, frozen

from tocsin.core.contracts.base import ActionError
from tocsin.core.contracts.context import Context
from tocsin.core.contracts.metric import Metric
from tocsin.core.contracts.model import Event, LogLine, Result, Target
from tocsin.core.units import Seconds


@frozen(kw_only=True)
class Claim:
    """What the labels of a target ask for and the core has to decide, and what was refused.

    The source keeps using the target's own name, whatever name the core gives to it.

    Attributes:
        name: the name that a label asks for; None: the target's own name. The core uses it unless
            another target already has it.
        also: further names by which the configuration may mean the target: of a container, its
            service.
        by_image: whether the name may come from the image and not from the person who runs the
            container. It is then used only if ``match`` of a declared target accepts this one.
        identity: ``name``, ``image``, ``project`` and ``service`` of the target, as far as it has
            them, for the ``match`` of a declared target.
        depends_on: whether the target's ``depends_on`` comes from a label. A target that the
            configuration declares ignores it, unless its ``match`` accepts this one.
        refused: a sentence for each label that cannot be used, which names the label. They are
            shown as the message of the check ``labels`` of the target, which is ``unknown``.
    """

    name: str | None = None
    also: tuple[str, ...] = ()
    by_image: bool = False
    identity: Mapping[str, str] = Factory(dict)
    depends_on: bool = False
    refused: tuple[str, ...] = ()


class Sink(Protocol):
    """Receives what a source reports. Every method may be called from any thread; in a thread other
    than the core's, a call may wait for room in a queue."""

    def discovered(
        self,
        target: Target,
        checks: Mapping[str, Mapping[str, Any]] | None = None,
        claim: Claim | None = None,
    ) -> None:
        """Report a target that exists, or has changed.

        Args:
            target: the target, under its own name.
            checks: further checks that its labels ask for, by name, each a table as in
                ``tocsin.toml``: ``{"http": {"probe": "http", "url": …}}``. A table with ``unable``,
                a clause, is a check that cannot run for now and is ``unknown`` for that reason.
                Only probes that are ``by_label`` or named in ``label_probes`` are used.
            claim: what else its labels ask for.
        """

    def observed(self, target: str, result: Result, at: datetime | None = None) -> None:
        """Report the state of a target. ``at``: when it was seen, aware UTC; None: now."""

    def happened(self, event: Event) -> None:
        """Report an event, which is kept in the target's history."""

    def retired(self, target: str, message: str) -> None:
        """Report that a target was removed on purpose; ``message`` says how, as a clause. If the
        configuration declares the target, it becomes ``down`` (missing)."""

    def synced(self, targets: Collection[str]) -> None:
        """Report a full inventory: targets that are not in it are gone. It also ends the state set
        by :meth:`impaired`."""

    def impaired(self, message: str) -> None:
        """Report that the source cannot see its targets: ``unknown`` until :meth:`synced`."""


Action = Literal["logs", "restart", "inspect"]
"""What a source can do with a target on a person's request: a method of :class:`SourceRuntime`."""

ACTIONS: tuple[Action, ...] = ("logs", "restart", "inspect")


class SourceRuntime(ABC):
    """What watches for one :class:`Source`, and performs actions."""

    __slots__ = ()

    @abstractmethod
    async def run(self, name: str, interval: float, sink: Sink) -> None:
        """Watch until cancelled, and report to ``sink``.

        An exception ends the run; the core reports it and starts a new run after a backoff.

        Args:
            name: the source's name in the configuration.
            interval: seconds between two samples of metrics.
            sink: receives what the source reports during this run.
        """

    async def logs(self, target: str, lines: int) -> list[LogLine]:
        """Return the last ``lines`` lines of a target's log, oldest first. Raises ActionError."""
        raise ActionError(f"{target} keeps no logs that tocsin can read", missing=True)

    async def restart(self, target: str) -> None:
        """Restart a target. Raises ActionError."""
        raise ActionError(f"{target} cannot be restarted by tocsin", missing=True)

    async def inspect(self, target: str) -> Mapping[str, Any]:
        """Return all that the source knows of a target, JSON-serialisable; the core removes secrets
        from it. Raises ActionError."""
        raise ActionError(f"{target} cannot be inspected by tocsin", missing=True)

    async def close(self) -> None:
        """Release the runtime's resources; called when its source ends (reload, stop)."""


@frozen(kw_only=True)
class Source(SourceRuntime):
    """The options of a source, which streams observations of many targets.

    A source without state defines :meth:`run`; one that keeps anything between ``run`` and its
    actions defines :meth:`open`.

    Attributes:
        autostart: class variable; the name under which an instance with default options runs even
            if the configuration does not mention it; None: no such instance.
        target_kind: class variable; the kind of the targets that it finds.
        actions: class variable; which of ``logs``, ``restart`` and ``inspect`` it can do, so that
            people are offered them. None: those that the class defines itself. One that defines
            :meth:`open`, whose runtime has these methods, has to name them here.
        metrics: class variable; what the metrics of its results mean, by name.
        interval: seconds between two samples of metrics; None: the global ``interval``.
        label_probes: further probes that labels may use, with all their options.
        label_timeout: the longest timeout in seconds that labels may set.
        label_interval: the shortest interval or period in seconds that labels may set.
        label_checks: the most checks that the labels of one target may create.
        label_checks_in_all: the most checks that the labels of all its targets may create.
    """

    autostart: ClassVar[str | None] = None
    target_kind: ClassVar[str] = "container"
    actions: ClassVar[tuple[Action, ...] | None] = None
    metrics: ClassVar[Mapping[str, Metric]] = {}

    interval: Seconds | None = None
    label_probes: tuple[str, ...] = ()
    label_timeout: Seconds = 30
    label_interval: Seconds = 5
    label_checks: int = 20
    label_checks_in_all: int = 1000

    async def open(self, context: Context) -> SourceRuntime:
        """Return what watches; without a definition of its own, the source itself.

        Called before the first ``run``. While it raises, the source counts as failed, and it is
        called again after a backoff.

        Args:
            context: what the core gives to the runtime.
        """
        return self

    async def run(self, name: str, interval: float, sink: Sink) -> None:
        """Watch until cancelled; see :meth:`SourceRuntime.run`."""
        raise NotImplementedError(f"{type(self).__name__} defines neither run nor open")


def actions_of(cls: type[Source]) -> frozenset[Action]:
    """Return what a source can do with its targets."""
    if cls.actions is not None:
        return frozenset(cls.actions)
    if cls.open is not Source.open:  # its runtime is not known; that of containers may do all
        return frozenset(ACTIONS if cls.target_kind == "container" else ())
    return frozenset(
        name for name in ACTIONS if getattr(cls, name) is not getattr(SourceRuntime, name)
    )
