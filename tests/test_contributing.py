"""What CONTRIBUTING.md says works, and changelog fragments can be released."""

from __future__ import annotations

import re
import subprocess
import sys
import textwrap
import tomllib
import types
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
GUIDE = (ROOT / "CONTRIBUTING.md").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def blocks(language: str) -> list[str]:
    """The examples in a language, without their indentation."""
    found = re.findall(rf"^ *```{language}\n(.*?)```", GUIDE, re.DOTALL | re.MULTILINE)
    return [textwrap.dedent(text) for text in found]


def test_the_make_targets_it_names_exist() -> None:
    """Every ``make TARGET`` is a target of the Makefile."""
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"(?:`|^ {4})make ([a-z-]+)", GUIDE, re.MULTILINE))
    assert named
    assert named <= targets


def test_the_files_it_names_exist() -> None:
    """Every path in it is there, but for the files that the walk-through makes."""
    made = {"plugins/probes/load.py", "tests/probes/test_load.py", "changelog.d/+load.added.md"}
    named = {
        *re.findall(r"`([\w.+-]+/[\w./+-]*|[\w-]+\.(?:md|toml|yml|yaml|in|py|sql))`", GUIDE),
        *re.findall(r"\]\(([^)#:]+)\)", GUIDE),
    }
    assert made <= named
    assert [name for name in named - made if not (ROOT / name).exists()] == []


async def test_the_probe_of_its_walk_through_works(
    monkeypatch: pytest.MonkeyPatch, tocsin_manager: Any
) -> None:
    """The probe is registered without a fault, its test passes, its entry has the right form."""
    test, probe = blocks("python")
    (entry,) = blocks("toml")
    ((name, module),) = tomllib.loads(entry)["project"]["entry-points"]["tocsin"].items()
    made = types.ModuleType(module)
    exec(compile(probe, module, "exec"), made.__dict__)
    monkeypatch.setitem(sys.modules, module, made)
    (record,) = tocsin_manager(**{name: made}).records
    assert record.status == "ok", record.reason
    tests = types.ModuleType("test_load")
    exec(compile(test, "test_load", "exec"), tests.__dict__)
    functions = [f for name, f in vars(tests).items() if name.startswith("test_")]
    assert functions
    for function in functions:
        await function()


def test_fragments_have_good_names_and_a_text() -> None:
    """``+NAME.TYPE.md`` with a type that is configured: a wrong name is not left out silently."""
    kinds = [t.get("directory", t["name"].lower()) for t in PROJECT["tool"]["towncrier"]["type"]]
    pattern = re.compile(rf"\+[a-z0-9][a-z0-9.-]*\.({'|'.join(kinds)})\.md")
    fragments = set((ROOT / "changelog.d").iterdir()) - {ROOT / "changelog.d/README.md"}
    assert [path.name for path in fragments if not pattern.fullmatch(path.name)] == []
    assert [path.name for path in fragments if not path.read_text().strip()] == []
    guide = (ROOT / "changelog.d/README.md").read_text()
    assert sorted(re.findall(r"^\| `(\w+)` \|", guide, re.MULTILINE)) == sorted(kinds)


def test_towncrier_renders_every_fragment() -> None:
    """The draft of a release holds each fragment's first line under a heading."""
    draft = subprocess.run(
        [sys.executable, "-m", "towncrier", "build", "--draft", "--version", "next"],
        cwd=ROOT, check=True, capture_output=True, text=True, timeout=60,
    ).stdout  # fmt: skip
    for path in (ROOT / "changelog.d").glob("+*.md"):
        assert path.read_text().splitlines()[0] in draft
    assert (
        "<!-- towncrier puts releases below this line -->\n" in (ROOT / "CHANGELOG.md").read_text()
    )


def test_hooks_use_the_projects_own_tools() -> None:
    """Every hook's program is one that ``make .venv/.test`` installs, so that nothing else is
    downloaded and versions are one."""
    text = (ROOT / ".pre-commit-config.yaml").read_text()
    entries = re.findall(r"entry: (\S+)", text)
    assert entries
    assert all(entry.startswith(".venv/bin/") for entry in entries)
    assert set(re.findall(r"repo: (\S+)", text)) == {"local"}
    programs = {Path(entry).name for entry in entries}
    assert [p for p in programs if not Path(sys.executable).with_name(p).exists()] == []
