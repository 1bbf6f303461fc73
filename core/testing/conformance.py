"""Conformance suites for probes and sources, and checks that all suites share."""

from __future__ import annotations

import asyncio
import contextlib
import math
import re
import threading
from typing import Any

import attrs
import msgspec

from tocsin.core.checks.check_runner import DEADLINE_GRACE
from tocsin.core.checks.polled_check import PolledCheck
from tocsin.core.contracts.base import ActionError, Secret
from tocsin.core.contracts.model import Result, Target
from tocsin.core.contracts.probe import Probe, PushProbe
from tocsin.core.contracts.source import ACTIONS, Source, SourceRuntime, actions_of
from tocsin.core.plugin.faults import PluginFault
from tocsin.core.plugin.options import options_of
from tocsin.core.plugin.summaries import summary_of
from tocsin.core.shapes import check_methods, fit_document, fit_lines
from tocsin.core.testing.context import RecordingContext, opened
from tocsin.core.testing.sink import RecordingSink

_METRIC = re.compile(r"[a-z_][a-z0-9_]*")
MESSAGE_LIMIT = 1000


def check_result(result: object, what: str = "check() returned") -> None:
    """Check that a result can be stored and shown.

    Args:
        result: the result.
        what: where it comes from, as the beginning of a message.

    Raises:
        AssertionError: it cannot.
    """
    assert isinstance(result, Result), f"{what} {type(result).__name__}, not a Result"
    assert isinstance(result.message, str), "the message is not text"
    assert len(result.message) <= MESSAGE_LIMIT, f"the message has over {MESSAGE_LIMIT} characters"
    assert "\n" not in result.message, f"the message has line breaks: {result.message!r}"
    for name, value in result.metrics.items():
        assert _METRIC.fullmatch(name), f"metric {name!r} is not lower_case_with_unit"
        assert isinstance(value, int | float), f"metric {name} is {value!r}, not a number"
        assert not isinstance(value, bool), f"metric {name} is a boolean, not a number"
        assert math.isfinite(value), f"metric {name} is {value}"
    try:
        msgspec.json.encode(result.attributes)
    except TypeError as error:
        raise AssertionError(f"the attributes are not JSON: {error}") from error


def check_class(cls: type) -> None:
    """Check that a class's methods can be called, and that its fields are valid options, with types
    and documentation.

    Raises:
        AssertionError: they are not.
    """
    assert attrs.has(cls), f"{cls.__name__} is not an attrs class; decorate it with @attrs.frozen"
    try:
        check_methods(cls)
    except PluginFault as fault:
        raise AssertionError(f"the plugin {fault}") from fault
    assert summary_of(cls), f"{cls.__name__} has no docstring; its first line is shown to users"
    for option in options_of(cls):
        assert option.name == option.name.lower(), f"option {option.name} is not lower case"
        assert "Unresolved" not in option.type
    for field in attrs.fields(cls):
        assert field.type is not None, f"option {field.name} has no type"


def check_labels(cls: type[Probe] | type[PushProbe]) -> None:
    """Check what a probe declares about checks from labels.

    Raises:
        AssertionError: it is wrong.
    """
    assert isinstance(cls.by_label, bool), "by_label is not a class variable; write ClassVar[bool]"
    names = {option.name for option in options_of(cls)}
    for name in cls.config_only:
        assert name in names, f"config_only names {name}, which is not an option"


def check_secrets_hidden(instance: object) -> None:
    """Check that neither ``repr`` nor ``str`` shows a secret.

    Raises:
        AssertionError: one does.
    """
    for secret in _secrets(instance):
        assert secret.reveal() not in repr(instance), "repr() shows a secret"
        assert secret.reveal() not in str(instance), "str() shows a secret"


def _secrets(value: Any) -> list[Secret]:
    if isinstance(value, Secret):
        return [value] if value.reveal() else []
    if attrs.has(type(value)):
        return [s for f in attrs.fields(type(value)) for s in _secrets(getattr(value, f.name))]
    if isinstance(value, dict):
        return [s for item in value.values() for s in _secrets(item)]
    if isinstance(value, list | tuple):
        return [s for item in value for s in _secrets(item)]
    return []


async def check_probe_conformance(
    probe: Probe, target: Target | None = None, context: RecordingContext | None = None
) -> Result:
    """Check a probe against its contract.

    It has to open and return a valid result, or raise a CheckError, within its deadline, twice, in
    two event loops; end when it is cancelled; leave no tasks behind; and show no secrets.

    Args:
        probe: the probe.
        target: the target to check; None for one called "conformance".
        context: what its runtime is given; None for one that records.

    Returns:
        The result.

    Raises:
        AssertionError: it violates the contract.
    """
    target = target or Target(name="conformance")
    check_class(type(probe))
    check_labels(type(probe))
    check_secrets_hidden(probe)
    hosts: object = probe.network_host(target)
    named = hosts if isinstance(hosts, tuple) else (hosts or "",)
    assert all(isinstance(host, str) for host in named), f"network_host() returned {hosts!r}"
    before = asyncio.all_tasks()
    context = context or RecordingContext()
    check = PolledCheck(probe, context)
    result = await _try_once(check, target)
    check_result(result)
    for secret in _secrets(probe):
        shown = result.message + msgspec.json.encode(result.attributes).decode()
        assert secret.reveal() not in shown, "the result shows a secret"
    await _cancel_midway(check, target)
    await check_no_tasks_left(before, "check()")
    await asyncio.to_thread(_in_another_loop, probe, target, context)
    await check.close()
    await context.close()
    return result


async def check_no_tasks_left(before: set[asyncio.Task[Any]], what: str) -> None:
    """Check that every task that is not one of ``before`` ends within a second.

    A stand-in for the peer in the same event loop may still be closing its connection.

    Args:
        before: the tasks that existed before.
        what: what is tested, for the message.

    Raises:
        AssertionError: a task is still running.
    """
    left = asyncio.all_tasks() - before
    if left:
        _, left = await asyncio.wait(left, timeout=DEADLINE_GRACE)
    assert not left, f"{what} left tasks behind: {left}"


async def _try_once(check: PolledCheck, target: Target) -> Result:
    result = await check.open()  # within its own deadline
    if result is not None:
        return result
    async with asyncio.timeout(check.timeout + DEADLINE_GRACE):
        result, wrong = await check.look(target)
    assert wrong is None, f"check() {wrong}"
    return result


async def _cancel_midway(check: PolledCheck, target: Target) -> None:
    task = asyncio.ensure_future(check.look(target))
    await asyncio.sleep(0.001)
    task.cancel()
    done, _ = await asyncio.wait({task}, timeout=DEADLINE_GRACE)
    assert done, f"check() ignored its cancellation for {DEADLINE_GRACE:g} s"
    if not task.cancelled():
        error = task.exception()
        assert error is None, f"check() raised {error!r} when it was cancelled"


def _in_another_loop(probe: Probe, target: Target, known: RecordingContext) -> None:
    """Check the target in another event loop: a plugin's thread may be restarted with a new one."""

    async def run() -> Result:
        context = RecordingContext(
            plugin=known.plugin, name=known.name, storage=known.storage, secrets=known.secrets
        )
        check = PolledCheck(probe, context)
        try:
            return await _try_once(check, target)
        finally:
            await check.close()
            await context.close()

    check_result(asyncio.run(run()))


def check_push_conformance(probe: PushProbe, target: Target | None = None) -> None:
    """Check a push probe: pure, quick, and with a valid result for silence of any length.

    Raises:
        AssertionError: it violates the contract.
    """
    target = target or Target(name="conformance")
    check_class(type(probe))
    check_labels(type(probe))
    for silence in (0.0, probe.period, probe.period + probe.grace + 1, 1e9):
        first = probe.judge(target, None, silence)
        check_result(first, "judge() returned")
        assert first == probe.judge(target, None, silence), "judge() is not pure"


async def _check_actions(source: Source, runtime: SourceRuntime, target: str | None) -> None:
    declared = actions_of(type(source))
    for action in ACTIONS:
        defined = getattr(type(runtime), action) is not getattr(SourceRuntime, action)
        words = "defines" if defined else "does not define"
        assert defined == (action in declared), (
            f"{type(runtime).__name__} {words} {action}(); correct {type(source).__name__}.actions"
        )
    if target is None:
        return
    try:
        with contextlib.suppress(ActionError):
            if "logs" in declared:
                fit_lines(await runtime.logs(target, 5), 5)
        with contextlib.suppress(ActionError):
            if "inspect" in declared:
                fit_document(await runtime.inspect(target))
    except PluginFault as fault:
        raise AssertionError(f"{type(runtime).__name__} {fault}") from fault


async def check_source_conformance(
    source: Source, name: str = "conformance", context: RecordingContext | None = None
) -> RecordingSink:
    """Check a source against its contract.

    It has to complete an inventory within 30 s or report why it cannot, send valid results of
    discovered targets only, be able to do the ``actions`` that it declares, end when it is
    cancelled, and leave no threads behind. ``restart`` is not called.

    Args:
        source: the source.
        name: the source's name in the configuration.
        context: what its runtime is given; None for one that records.

    Returns:
        What the source sent.

    Raises:
        AssertionError: it violates the contract.
    """
    check_class(type(source))
    check_secrets_hidden(source)
    threads = set(threading.enumerate())
    sink = RecordingSink()
    context = context or RecordingContext()
    runtime = await opened(source, context)
    task = asyncio.ensure_future(runtime.run(name, 1.0, sink))
    await sink.until(lambda: sink.inventories or sink.troubles or task.done())
    assert not task.done(), f"run() ended by itself: {task}"
    try:
        await _check_actions(source, runtime, next(iter(sink.targets), None))
    finally:
        task.cancel()
    done, _ = await asyncio.wait({task}, timeout=10)
    assert done, "run() ignored its cancellation for 10 s"
    with contextlib.suppress(asyncio.CancelledError):
        await task
    await runtime.close()
    await context.close()
    for target, results in sink.results.items():
        assert target in sink.targets, f"a result of {target} came before it was discovered"
        for result in results:
            check_result(result, "sink.observed() was given")
    left: set[threading.Thread] = set()
    for _ in range(100):
        left = {t for t in threading.enumerate() if t not in threads and "asyncio" not in t.name}
        if not left:
            break
        await asyncio.sleep(0.1)
    assert not left, f"run() left threads behind: {left}"
    return sink
