"""Distributions of plugins, installed into a folder as pip does it, without pip."""

from __future__ import annotations

import hashlib
from pathlib import Path
from textwrap import dedent

HEAD = """
import asyncio
import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from datetime import datetime
from typing import Any
from attrs import field, frozen
from tocsin import *
from tocsin import hookimpl
"""


def install(site: Path, source: str, *names: str, distribution: str = "tocsin-strange") -> None:
    """Install a distribution of one module with the plugins ``names``.

    Args:
        site: folder that is on the module path.
        source: the module's text after the usual imports.
        names: names of the entry points, all for the same module; default: that of the
            distribution without its prefix.
        distribution: its name.
    """
    module = distribution.replace("-", "_")
    text = HEAD + dedent(source)
    (site / f"{module}.py").write_text(text)
    info = site / f"{module}-1.0.dist-info"
    info.mkdir(exist_ok=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
    points = "".join(f"{n} = {module}\n" for n in names or (distribution.partition("-")[2],))
    (info / "entry_points.txt").write_text(f"[tocsin]\n{points}")
    digest = hashlib.sha256(text.encode()).hexdigest()
    (info / "RECORD").write_text(f"{module}.py,sha256={digest},{len(text)}\n")
