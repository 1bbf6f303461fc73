"""The guard around a coroutine of a plugin: a deadline, and every error as a fault."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from tocsin.core.contracts.base import ActionError, ServiceError
from tocsin.core.contracts.notifier import NotifyError
from tocsin.core.plugin.faults import PluginFault, describe, plain_error
from tocsin.core.runtime.deadline import deadline

T = TypeVar("T")

Expected = tuple[type[ActionError | NotifyError | ServiceError], ...]


async def guarded(
    make: Callable[[], Coroutine[Any, Any, T]], seconds: float | None, expects: Expected
) -> T:
    """Run a coroutine and turn its errors into PluginFault; ``SystemExit`` and the like would
    otherwise end the loop."""
    mine = asyncio.current_task()
    try:
        with deadline(seconds) as limit:
            return await make()
    except TimeoutError as error:
        if limit.expired:
            raise
        raise PluginFault(describe(error)) from error
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise PluginFault(describe(error)) from error  # it was not cancelled by the core
    except GeneratorExit as error:
        if _current_task() is not mine:  # this coroutine is being closed from outside
            raise
        raise PluginFault(describe(error)) from error
    except PluginFault:
        raise
    except (ActionError, NotifyError, ServiceError) as error:
        plain = plain_error(error)
        if isinstance(plain, (PluginFault, *expects)):
            raise plain from error
        raise PluginFault(f"raised {type(plain).__name__}: {plain}") from error
    except BaseException as error:
        raise PluginFault(describe(error)) from error


def _current_task() -> asyncio.Task[Any] | None:
    """Return the running task; None where no loop runs, as when an abandoned call is freed."""
    try:
        return asyncio.current_task()
    except RuntimeError:
        return None
