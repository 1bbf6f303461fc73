"""Checks of the installation by ``tocsin doctor``: data directory, event loop."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from tocsin import Context, DoctorCheck, Finding, Installation, hookimpl

tocsin_api = "1"

LITTLE = 500_000_000
"""Free bytes in the data directory below which there is a warning."""


async def check_data_directory(_: Context, installation: Installation) -> Sequence[Finding]:
    """Check that the data directory can be written, and has space."""
    place = installation.data_dir
    nearest = next(path for path in (place, *place.parents, Path()) if path.exists())
    if not os.access(nearest, os.W_OK):
        remedy = "set TOCSIN_DATA_DIR to a writable directory"
        return [Finding.problem(f"{place} is not writable", remedy)]
    free = shutil.disk_usage(nearest).free
    if free < LITTLE:
        return [Finding.warning(f"{place} has only {free // 1_000_000} MB free")]
    return [Finding.ok(str(place))]


async def check_speed(_: Context, __: Installation) -> Sequence[Finding]:
    """Check that the fast event loop is installed."""
    if importlib.util.find_spec("uvloop") is None:
        return [Finding.warning("uvloop is not installed", "'pip install tocsin[fast]'")]
    return []


@hookimpl
def tocsin_doctor() -> Sequence[DoctorCheck]:
    """Provide the checks."""
    return [
        DoctorCheck(name="data", handler=check_data_directory),
        DoctorCheck(name="speed", handler=check_speed),
    ]
