"""Conformance suite for services."""

from __future__ import annotations

import asyncio
import inspect
import tempfile
from pathlib import Path

import psutil

from tocsin.core.contracts.base import ServiceError
from tocsin.core.contracts.service import Service, ServiceContext
from tocsin.core.plugin.services import LONGEST_URL, STOP_PATIENCE
from tocsin.core.shapes import is_name
from tocsin.core.testing.conformance import (
    MESSAGE_LIMIT,
    _secrets,
    check_class,
    check_no_tasks_left,
    check_secrets_hidden,
)
from tocsin.core.testing.context import RecordingContext

NOWHERE = "http://127.0.0.1:9"
"""The URL of an API that does not answer."""


def service_context(directory: Path, context: RecordingContext) -> ServiceContext:
    """Return what a service is given: an API that does not answer, files in ``directory``, and
    what ``context`` has."""
    token = directory / "token"
    token.touch(mode=0o600)
    token.write_text("tests")
    return ServiceContext(api_url=NOWHERE, directory=directory, token_file=token, context=context)


async def check_service_conformance(
    service: Service, context: ServiceContext | None = None, *, seconds: float = 0.5
) -> ServiceError | None:
    """Check a service against its contract.

    It has to run until it is cancelled, or raise a ServiceError with one line of text; end when it
    is cancelled; run again after that; leave no tasks and no processes behind; return one line or
    None as its URL; and show no secrets.

    Args:
        service: the service.
        context: what it is given; None for one that records, whose API does not answer.
        seconds: how long each of the two runs lasts.

    Returns:
        The error that the service raised; None if it ran until it was cancelled.

    Raises:
        AssertionError: it violates the contract.
    """
    check_class(type(service))
    check_secrets_hidden(service)
    check_url(service)
    before = asyncio.all_tasks()
    processes = set(psutil.Process().children(recursive=True))
    with tempfile.TemporaryDirectory(prefix="tocsin-tests-") as directory:
        recording = RecordingContext()
        context = context or service_context(Path(directory), recording)
        for _ in range(2):
            error = await _run(service, context, seconds)
            if error is not None:
                break
        await recording.close()
    await check_no_tasks_left(before, "run()")
    left = {p for p in psutil.Process().children(recursive=True) if p not in processes}
    assert not left, f"run() left processes behind: {left}"
    return error


def check_url(service: Service) -> None:
    """Check what a service says of its URL.

    Raises:
        AssertionError: it is wrong.
    """
    assert not inspect.iscoroutinefunction(service.url), "url() is async; write it as a plain def"
    url = service.url()
    assert url is None or is_name(url, LONGEST_URL), f"url() returned {url!r}, not one line of text"
    for secret in _secrets(service):
        assert secret.reveal() not in (url or ""), "url() shows a secret"


async def _run(service: Service, context: ServiceContext, seconds: float) -> ServiceError | None:
    """Run a service for a while; return the error that it raised itself."""
    task = asyncio.ensure_future(service.run(context))
    await asyncio.wait({task}, timeout=seconds)
    if not task.done():
        task.cancel()
        done, _ = await asyncio.wait({task}, timeout=STOP_PATIENCE)
        assert done, f"run() ignored its cancellation for {STOP_PATIENCE:g} s"
        if not task.cancelled():
            raised = task.exception()
            assert raised is None, f"run() raised {raised!r} when it was cancelled"
        return None
    assert not task.cancelled(), "run() cancelled itself"
    error = task.exception()
    assert error is not None, "run() ended by itself; it has to serve until it is cancelled"
    assert isinstance(error, ServiceError), f"run() raised {error!r}, not a ServiceError"
    assert is_name(str(error), MESSAGE_LIMIT), f"the error is not one line of text: {error}"
    for secret in _secrets(service):
        assert secret.reveal() not in str(error), "the error shows a secret"
    return error
