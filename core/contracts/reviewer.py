"""The contract of reviewers, which examine results of checks before they count."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from attrs import frozen

from tocsin.core.contracts.context import Context
from tocsin.core.contracts.model import Result, Target


@frozen(kw_only=True)
class ReviewRequest:
    """A ``down`` result of a probe, after all retries.

    Attributes:
        target: the target that was checked.
        check: name of the check.
        result: the result.
        hosts: the hosts that the check connects to (:meth:`tocsin.Probe.network_host`); none: it
            uses no network, or does not say.
    """

    target: Target
    check: str
    result: Result
    hosts: tuple[str, ...] = ()


class ReviewerRuntime(ABC):
    """What reviews results for one :class:`Reviewer`."""

    __slots__ = ()

    @abstractmethod
    async def review(self, request: ReviewRequest) -> str | None:
        """Return why the result says nothing about the target, as a clause; None: it stands.

        With a reason, the check is ``unknown``, and its message begins with the reason. If this
        raises, or takes longer than 40 seconds, the result stands.

        Args:
            request: the result. Several reviews may run at the same time.
        """

    async def close(self) -> None:
        """Release the runtime's resources; called when tocsin stops or its options change."""


@frozen(kw_only=True)
class Reviewer(ReviewerRuntime):
    """The options of a reviewer, which examines every ``down`` result of a probe before it counts.

    A reviewer without state defines :meth:`review`; one that keeps anything defines :meth:`open`.

    Attributes:
        section: class variable; name of the top-level table of ``tocsin.toml`` with the options;
            None: ``[reviewers.NAME]``.
    """

    section: ClassVar[str | None] = None

    async def open(self, context: Context) -> ReviewerRuntime:
        """Return what reviews results; without a definition of its own, the reviewer itself.

        Called when tocsin starts, and again for the next result if it raises.

        Args:
            context: what the core gives to the runtime.
        """
        return self

    async def review(self, request: ReviewRequest) -> str | None:
        """Review one result; see :meth:`ReviewerRuntime.review`."""
        raise NotImplementedError(f"{type(self).__name__} defines neither review nor open")
