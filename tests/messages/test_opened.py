"""Nothing that may fail for want of a descriptor stands between an alert and its channel."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from tests.messages.opened import message
from tocsin.core.contracts.message import Kind
from tocsin.core.templates import renderer
from tocsin.core.templates.renderer import Renderer

pytestmark = pytest.mark.slow


async def test_nothing_is_opened_or_imported_to_tell_an_alert(tmp_path: Path) -> None:
    """The first message of a process, by each of our notifiers: templates, the frame of mails, time
    zones, certificates and modules are there since the configuration was loaded."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.messages.opened", str(tmp_path),
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, _ = await process.communicate()
    lines = out.decode().splitlines()
    assert process.returncode == 0
    assert [line for line in lines if line.startswith(("open ", "import "))] == []
    assert len([line for line in lines if line.startswith("sent ")]) == 9, lines


def test_what_fails_in_a_template_is_said_once(tmp_path: Path) -> None:
    """An own file that fails at each message is told of once, and each message goes out in our
    words."""
    (tmp_path / "container_down.txt").write_text("# {{ target }}\n{{ nobody.knows }}\n")
    said: list[str] = []
    made = Renderer(tmp_path, trouble=said.append)
    titles = {made.words(message("c", Kind.FIRED)).title for _ in range(3)}
    assert len(said) == 1
    assert "container_down.txt, line 2" in said[0]
    assert titles == {Renderer().words(message("c", Kind.FIRED)).title}


def test_a_fault_in_our_own_rendering_costs_no_message(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever breaks while the fields of a template are worked out: plain lines are sent, and it
    is said once."""

    def broken(*_: object) -> object:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(renderer, "of_notice", broken)
    said: list[str] = []
    made = Renderer(trouble=said.append)
    words = [made.words(message("c", Kind.FIRED)) for _ in range(3)]
    assert len(said) == 1
    assert "wéb: down" in words[-1].text
