"""What the image is made of, held against what the distribution asks for."""

from __future__ import annotations

import re
import tomllib

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.ship.stack import ROOT

VARIANTS = {"core": ["fast"], "dashboard": ["fast", "dashboard"]}


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_lock_has_all_that_is_asked_for(variant: str) -> None:
    """Each dependency is pinned, in a version that pyproject.toml lets in; 'make lock' mends it."""
    lock = (ROOT / f"container/{variant}.lock").read_text()
    pinned: dict[str, set[str]] = {}
    for name, version in re.findall(r"^([\w.-]+)==(\S+)", lock, re.MULTILINE):
        pinned.setdefault(canonicalize_name(name), set()).add(version)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [
        *project["dependencies"],
        *(x for extra in VARIANTS[variant] for x in project["optional-dependencies"][extra]),
    ]
    for line in wanted:
        wish = Requirement(line)
        versions = pinned.get(canonicalize_name(wish.name))
        assert versions, f"{wish.name} is not in container/{variant}.lock; run 'make lock'"
        assert all(wish.specifier.contains(version) for version in versions), line


@pytest.mark.parametrize("variant", [*VARIANTS, "build"])
def test_the_lock_has_hashes_and_names_no_index(variant: str) -> None:
    """Whatever an index serves is held against the hashes, and any index will do."""
    lock = (ROOT / f"container/{variant}.lock").read_text()
    assert "://" not in lock
    pins = re.split(r"^(?=[\w.-]+==)", lock, flags=re.MULTILINE)[1:]
    assert pins
    assert all("--hash=sha256:" in pin for pin in pins)
