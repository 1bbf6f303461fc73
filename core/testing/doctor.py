"""Conformance suite for checks of the installation."""

from __future__ import annotations

import asyncio
import inspect
import tempfile
from pathlib import Path

from tocsin.core.contracts.doctor import DoctorCheck, Finding, Installation
from tocsin.core.shapes import fit_findings, is_name
from tocsin.core.testing.conformance import check_no_tasks_left
from tocsin.core.testing.context import RecordingContext

PATIENCE = 15.0
"""Seconds that a check may take."""


async def check_doctor_conformance(
    check: DoctorCheck, installation: Installation | None = None
) -> list[Finding]:
    """Check a check of the installation against its contract.

    Its name is one word, and its handler is documented. It returns findings in time, ends when it
    is cancelled, and leaves no tasks behind.

    Args:
        check: the check.
        installation: what it checks; None: an empty data directory, and nothing configured.

    Returns:
        What it found.

    Raises:
        AssertionError: it violates the contract.
        PluginFault: it returned something else than findings.
    """
    one_word = is_name(check.name) and len(check.name.split()) == 1
    assert one_word, f"the name {check.name!r} is not one word"
    assert inspect.getdoc(check.handler), f"the handler of {check.name} has no docstring"
    before = asyncio.all_tasks()
    context = RecordingContext(name=check.name)
    with tempfile.TemporaryDirectory(prefix="tocsin-tests-") as directory:
        if installation is None:
            installation = Installation(data_dir=Path(directory))
        async with asyncio.timeout(PATIENCE):
            found = fit_findings(await check.handler(context, installation))
        task = asyncio.ensure_future(check.handler(context, installation))
        await asyncio.sleep(0)
        task.cancel()
        done, _ = await asyncio.wait({task}, timeout=10)
        assert done, f"the check {check.name} ignored its cancellation for 10 s"
    await context.close()
    await check_no_tasks_left(before, f"the check {check.name}")
    return found
