"""Options of the plugins of a host: checked when the configuration is read, kept while in use."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, ParamSpec, TypeVar

import attrs
from attrs import define, field

from tocsin.core.config.construct import construct
from tocsin.core.config.errors import Path, Problems, dotted
from tocsin.core.contracts.model import CheckError
from tocsin.core.contracts.rule import Rule
from tocsin.core.contracts.service import Service
from tocsin.core.hosted.loading import contract_of
from tocsin.core.hosts.methods import Constructed, Options
from tocsin.core.hosts.offers import plain
from tocsin.core.hosts.packing import unpack
from tocsin.core.plugin.faults import PluginFault, call_with_deadline
from tocsin.core.plugin.manager import PluginManager

P = ParamSpec("P")
T = TypeVar("T")

THREADS = 4
"""Threads in which objects are constructed."""

FACTS_DEADLINE = 2.0
"""Timeout, in seconds, of a property or method whose answer depends on the options alone."""


@define(eq=False)
class _Errors(Problems):
    """Errors with their paths as they are, which the core completes."""

    entries: list[tuple[tuple[str | int, ...], str]] = field(factory=list)

    def add(self, path: Path, message: str) -> None:
        """Report an error at a path."""
        self.entries.append((path, message))


@define(eq=False)
class Constructor:
    """Makes objects of options.

    Attributes:
        manager: has the classes.
    """

    manager: PluginManager
    _defined: dict[int, asyncio.Future[tuple[Any, str]]] = field(init=False, factory=dict)
    """By number: the object and the name of its plugin; or why there is none."""
    _threads: ThreadPoolExecutor = field(init=False, factory=lambda: ThreadPoolExecutor(THREADS))

    async def construct(self, options: Options) -> Constructed:
        """Return what comes of options; the object itself is not kept."""
        return await self._in_thread(self._construct, options)

    def _construct(self, options: Options) -> Constructed:
        errors = _Errors("options")
        made, broken = self._make(options, errors)
        if made is None:
            return Constructed(problems=tuple(errors.entries), broken=broken)
        try:
            facts = _facts(made)
        except PluginFault as fault:
            return Constructed(broken=str(fault))
        own = [f.name for f in attrs.fields(contract_of(type(made))) if f.init]
        return Constructed(values={n: plain(getattr(made, n)) for n in own}, facts=facts)

    def define(self, number: int, options: Options) -> None:
        """Make the object of options, under a number. A constructor may take its time, so that it
        has a thread."""
        self._defined[number] = self._in_thread(self._define, options)

    def _define(self, options: Options) -> tuple[Any, str]:
        errors = _Errors("options")
        made, broken = self._make(options, errors)
        if made is not None:
            return made, options.plugin
        if broken is not None:
            raise PluginFault(f"has no object of its options: {broken}")
        why = "; ".join(f"{dotted(tuple(map(str, path)))}: {text}" for path, text in errors.entries)
        raise CheckError(f"its options are refused: {why}")  # a label may have given them

    async def make(self, options: Options) -> Any:
        """Return the object of options, which is not kept; None if there is none."""
        made, _ = await self._in_thread(self._make, options, _Errors("options"))
        return made

    def forget(self, number: int) -> None:
        """Drop the object of a number."""
        self._defined.pop(number, None)

    async def of(self, number: int) -> tuple[Any, str]:
        """Return the object of a number, and the name of its plugin.

        Raises:
            PluginFault: there is none.
            CheckError: the plugin refuses the options.
        """
        if (found := self._defined.get(number)) is None:
            raise PluginFault("was called after its end")
        return await asyncio.shield(found)

    def _in_thread(
        self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> asyncio.Future[T]:
        future = asyncio.get_running_loop().run_in_executor(
            self._threads, partial(function, *args, **kwargs)
        )
        future.add_done_callback(_retrieved)
        return future

    def _make(self, options: Options, problems: Problems) -> tuple[Any, str | None]:
        provides = next(r.provides for r in self.manager.records if r.name == options.plugin)
        cls = next(
            (p.cls for p in provides if (p.kind, p.name) == (options.kind, options.name)), None
        )
        if cls is None:
            return None, f"does not provide the {options.kind} {options.name!r} any more"
        return construct(cls, unpack(options.table), (), problems)


def _retrieved(future: asyncio.Future[Any]) -> None:
    if not future.cancelled():
        future.exception()  # else asyncio logs that it was never retrieved


def _facts(made: object) -> dict[str, Any]:
    """Return what the core needs to know of an object before it is used."""

    def read() -> dict[str, Any]:
        if isinstance(made, Rule):
            return {"lookback": made.lookback, "looks_at": made.looks_at}
        if isinstance(made, Service):
            return {"url": made.url()}
        return {}

    return call_with_deadline(read, FACTS_DEADLINE, "its options were read")
