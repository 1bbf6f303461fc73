"""A history under test whose answers are checked: what is wrong is told with its method."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, cast

from tocsin.core.contracts.history import HistoryRuntime
from tocsin.core.contracts.history_records import (
    AlertCount,
    AlertRecord,
    HistoryState,
    NotificationRecord,
    Unfinished,
)
from tocsin.core.contracts.history_series import (
    Chart,
    Point,
    Range,
    Trend,
    TrendPoint,
    Trends,
    Uptimes,
)
from tocsin.core.contracts.model import AuditEntry, Event, Observation

_SINGLE: dict[str, tuple[type, ...]] = {
    "write": (type(None),),
    "state": (HistoryState,),
    "alert": (AlertRecord, type(None)),
    "chart": (Chart,),
    "uptimes": (Uptimes,),
    "availability": (Mapping,),
    "trends": (Trends,),
    "unfinished": (Unfinished,),
    "close": (type(None),),
}
"""By method: the types of its answer."""

_LISTS: dict[str, tuple[type, ...]] = {
    "alerts": (AlertRecord,),
    "alert_counts": (AlertCount,),
    "notifications": (NotificationRecord,),
    "events": (Event,),
    "audit": (AuditEntry,),
    "results": (Observation,),
    "recent": (Observation, Event),
}
"""By method that returns a list: the types of its items."""


def with_checked_answers(runtime: HistoryRuntime) -> HistoryRuntime:
    """Return the runtime; each of its methods raises an AssertionError that names the method where
    it raises, is not async, or returns something else than the contract says."""
    return cast("HistoryRuntime", _Checked(runtime))


class _Checked:
    def __init__(self, runtime: HistoryRuntime) -> None:
        self._runtime = runtime

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._runtime, name, None)
        assert method is not None, f"the history has no method {name}()"

        async def call(*args: Any, **kwargs: Any) -> Any:
            try:
                called = method(*args, **kwargs)
                assert inspect.isawaitable(called), f"{name}() is not async; write async def"
                answer = await called
            except (AssertionError, TimeoutError):
                raise
            except Exception as error:
                raise AssertionError(f"{name}() raised {error!r}") from error
            _check(name, answer)
            return answer

        return self._parts if name == "past" else call

    async def _parts(self, *args: Any) -> AsyncIterator[Sequence[Observation | Event]]:
        parts = self._runtime.past(*args)
        kind = type(parts).__name__
        assert hasattr(parts, "__aiter__"), (
            f"past() returned {kind}, not an async iterator; write async def with yield"
        )
        try:
            async for part in parts:
                _check_items("past", part, (Observation, Event))
                yield part
        except (AssertionError, TimeoutError):
            raise
        except Exception as error:
            raise AssertionError(f"past() raised {error!r}") from error


def _check(name: str, answer: object) -> None:
    if kinds := _LISTS.get(name):
        _check_items(name, answer, kinds)
        return
    expected = _SINGLE[name]
    words = " or ".join("None" if kind is type(None) else kind.__name__ for kind in expected)
    assert isinstance(answer, expected), (
        f"{name}() returned {type(answer).__name__}, where the contract has {words}"
    )
    match answer:
        case Chart():
            _check_items(f"{name}().points", answer.points, (Point,))
            for point in answer.points:
                _check_items(f"{name}().points.metrics", [*point.metrics.values()], (Range,))
        case Trends():
            _check_items(f"{name}().items", answer.items, (Trend,))
            for trend in answer.items:
                _check_items(f"{name}().items.points", trend.points, (TrendPoint,))
        case Unfinished():
            _check_items(f"{name}().alerts", answer.alerts, (AlertRecord,))
            _check_items(f"{name}().notifications", answer.notifications, (NotificationRecord,))


def _check_items(name: str, found: object, kinds: tuple[type, ...]) -> None:
    name = name if ")" in name else f"{name}()"
    words = " or ".join(kind.__name__ for kind in kinds)
    assert isinstance(found, list | tuple), (
        f"{name} is {type(found).__name__}, where the contract has a list or tuple of {words}"
    )
    for item in found:
        assert isinstance(item, kinds), f"{name} has a {type(item).__name__}, not only {words}"
