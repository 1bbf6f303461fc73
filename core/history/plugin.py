"""The plugin that keeps history: opened, called and closed, with its faults contained."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, cast

from attrs import define, evolve, field, frozen

from tocsin.core.config.settings import HistorySettings
from tocsin.core.contracts.history import HistoryRuntime, HistoryUnavailable
from tocsin.core.contracts.history_records import HistoryState
from tocsin.core.contracts.model import Health
from tocsin.core.hiding import clean
from tocsin.core.logs import get_logger
from tocsin.core.plugin.runtimes import Opens, Runtime
from tocsin.core.plugin.sandbox import Isolation, PluginFault, call_with_deadline, describe
from tocsin.core.shapes.look import is_number

log = get_logger(__name__)

T = TypeVar("T")

CLOSE_SECONDS = 60.0
"""Time limit, in seconds, for a history to store what it has, and to stop its server."""

STATE_SECONDS = 5.0
"""Time limit, in seconds, for a history to say its state."""

PLACE_SECONDS = 5.0
"""Time limit, in seconds, for a history to say where it is kept."""

NONE = "no plugin keeps history; checks run, but nothing is stored"


@frozen
class _Refusal:
    """The text of a HistoryUnavailable."""

    text: str


class _Watched:
    """A runtime that notes which of its methods was called last."""

    def __init__(self) -> None:
        self.method = ""
        self.runtime: HistoryRuntime | None = None

    def __getattr__(self, name: str) -> Any:
        self.method = name
        return getattr(self.runtime, name)


def nobody(*_: str) -> None:
    """Report a fault to nobody."""


@define(eq=False)
class HistoryPlugin:
    """A history, as configured.

    Attributes:
        settings: its settings.
        isolation: where its plugin runs.
        failed: called with the plugin and the reason when it breaks its contract.
        works: called with the plugin when it keeps it again.
    """

    settings: HistorySettings
    isolation: Isolation
    failed: Callable[[str, str], object] = nobody
    works: Callable[[str], object] = nobody
    _runtime: Runtime[HistoryRuntime] | None = field(init=False, default=None)
    _faults: dict[str, str] = field(init=False, factory=dict)
    """By what was asked for: how the last attempt failed."""
    _seen: HistoryState | None = field(init=False, default=None)
    """Its state when it was asked last."""

    def __attrs_post_init__(self) -> None:
        if self.settings.store is not None:
            context = self.isolation.contexts.of(self.name, self.settings.name)
            # A history is given a HistoryContext, which every context of the core is.
            store = cast("Opens[HistoryRuntime]", self.settings.store)
            self._runtime = Runtime(store, context)

    @property
    def name(self) -> str:
        """The name of the plugin."""
        return self.settings.plugin or ""

    @property
    def is_there(self) -> bool:
        """Whether there is a history at all."""
        return self._runtime is not None

    @property
    def start_seconds(self) -> float:
        """Seconds for which notifications wait at a start without a journal."""
        try:
            seconds = getattr(self.settings.store, "start_seconds", 0.0)
        except Exception as error:  # noqa: BLE001 - code of the plugin
            self._fault("start_seconds", _failed_in("start_seconds", describe(error)))
            return 0.0
        return float(seconds) if is_number(seconds) else 0.0

    @property
    def state(self) -> HistoryState:
        """The state when the history was asked last, or what is wrong with its plugin."""
        if self._runtime is None:
            text = self.settings.why_none
            return HistoryState(
                status=Health.DISABLED if text is None else Health.DEGRADED,
                message=NONE if text is None else f"no history is kept: {text}",
            )
        seen = self._seen or HistoryState(status=Health.OK, message="it is being opened")
        if fault := next(iter(self._faults.values()), None):
            return evolve(seen, status=Health.DEGRADED, message=f"the plugin {self.name} {fault}")
        return seen

    async def look(self) -> HistoryState:
        """Ask the history for its state, and return it."""
        if self._runtime is None:
            return self.state
        try:
            self._seen = await self.call(
                "state", lambda runtime: runtime.state(), STATE_SECONDS, HistoryState
            )
        except (HistoryUnavailable, PluginFault) as error:
            text = clean(describe(error)) if isinstance(error, PluginFault) else str(error)
            self._seen = HistoryState(status=Health.DEGRADED, message=text)
        return self.state

    async def open(self) -> None:
        """Open the history, if it is not open.

        Raises:
            HistoryUnavailable: it cannot be opened, or there is none.
        """
        runtime = self._runtime
        if runtime is None:
            raise HistoryUnavailable(self.state.message)
        if not runtime.is_open_in(self.isolation.loop_of(self.name)):
            try:
                await self.isolation.call(self.name, runtime.get, None)
            except PluginFault as fault:
                self._fault("open", _failed_in("open()", fault, severe=fault.severe))
                raise HistoryUnavailable(self.state.message) from fault
            self._succeeded("open")

    async def call(
        self,
        what: str,
        ask: Callable[[HistoryRuntime], Awaitable[T]],
        seconds: float,
        kind: Any = object,
    ) -> T:
        """Call a method of the runtime.

        Args:
            what: what is asked for: a fault lasts until the same succeeds.
            ask: calls it.
            seconds: time limit in seconds.
            kind: type of its answer.

        Raises:
            HistoryUnavailable: there is no runtime, it refused, or did not answer in time.
            PluginFault: it raised something else, or answered another type; this is reported.
        """
        await self.open()

        watched = _Watched()

        async def call() -> T | _Refusal:
            assert self._runtime is not None  # noqa: S101 - open() has checked it
            try:
                watched.runtime = await self._runtime.get()
                return await ask(cast("HistoryRuntime", watched))
            except HistoryUnavailable as error:
                return _Refusal(clean(str(error)))

        try:
            answer = await self.isolation.call(self.name, call, seconds)
            is_fit = isinstance(answer, (kind, _Refusal))
            if not is_fit:
                raise PluginFault(f"returned {type(answer).__name__}, not {_words(kind)}")
        except TimeoutError as error:
            raise HistoryUnavailable(f"history did not answer within {seconds:g} s") from error
        except PluginFault as fault:
            method = f"{watched.method}()" if watched.method else "open()"
            named = _failed_in(method, fault, severe=fault.severe)
            raise self._fault(what, named) from fault.__cause__
        self._succeeded(what)
        if isinstance(answer, _Refusal):
            raise HistoryUnavailable(answer.text)
        return answer

    def _fault(self, what: str, fault: PluginFault) -> PluginFault:
        """Report a fault, and return it."""
        if fault.severe:
            self.isolation.reset(self.name, fault)
        self._faults[what] = clean(describe(fault))
        self.failed(self.name, self._faults[what])
        return fault

    def _succeeded(self, what: str) -> None:
        if self._faults.pop(what, None) is not None and not self._faults:
            self.works(self.name)

    async def close(self) -> None:
        """Close the history, if it was opened. Its faults are logged."""
        if self._runtime is None or not self._runtime.is_used:
            return
        try:
            await self.isolation.call(self.name, self._runtime.close, CLOSE_SECONDS)
        except (PluginFault, TimeoutError) as error:
            log.error("the history did not stop cleanly", reason=describe(error))


def _failed_in(method: str, fault: object, *, severe: bool = False) -> PluginFault:
    """Return a fault that names the method in which it happened."""
    return PluginFault(f"failed in {method}: it {fault}", severe=severe)


def _words(kind: Any) -> str:
    kinds = kind if isinstance(kind, tuple) else (kind,)
    return " or ".join(
        "None" if each is type(None) else getattr(each, "__name__", str(each)) for each in kinds
    )


def place_of(settings: HistorySettings) -> str:
    """Return where history is kept, as its plugin says.

    Raises:
        HistoryUnavailable: nowhere; the message says why or what to do.
    """
    store = settings.store
    if store is None:
        raise HistoryUnavailable(settings.why_none or "no plugin keeps history")

    def place() -> str | _Refusal:
        try:
            return clean(str(store.place()))
        except HistoryUnavailable as error:
            return _Refusal(clean(str(error)))

    try:
        found = call_with_deadline(place, PLACE_SECONDS, "its place() was called")
    except PluginFault as fault:
        raise HistoryUnavailable(clean(f"the plugin {settings.plugin} {fault}")) from fault
    if isinstance(found, _Refusal):
        raise HistoryUnavailable(found.text)
    return found
