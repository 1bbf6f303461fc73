"""Refuse to build where the links of src/tocsin are missing; all else is in pyproject.toml.

Packages are found by walking src/tocsin, so without its links the build would succeed and make a
wheel with most modules missing. In an unpacked sdist the links are directories and a file.
"""

import sys
from pathlib import Path

from setuptools import setup

PACKAGE = Path("src/tocsin")


def is_present(name: str) -> bool:
    """Whether NAME leads to its contents: not missing, not dangling, not a link written as text."""
    path = PACKAGE / name
    if name.endswith(".sql"):
        return path.is_file() and path.read_text(encoding="utf-8").strip() != f"../../{name}"
    return (path / "__init__.py").is_file()


missing = [n for n in ("core", "plugins", "dashboard", "schema.sql") if not is_present(n)]
if missing:
    links = ", ".join(f"{PACKAGE.as_posix()}/{name} -> ../../{name}" for name in missing)
    sys.exit(
        "tocsin cannot be built here, because these symbolic links are missing or broken: "
        f"{links}; "
        "clone the repository with git on a file system that has symbolic links "
        "(on Windows: turn on Developer Mode, then git clone -c core.symlinks=true), "
        "or build from the sdist, which needs no links."
    )

setup()
