"""A real API for the pages, and a way to run a page against it."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC
from pathlib import Path
from typing import Any

import pytest
import streamlit as st
from attrs import asdict
from streamlit.testing.v1 import AppTest

from tests.dashboard.town import Town
from tocsin.dashboard import session, signin
from tocsin.dashboard.process import VARIABLE, Settings


@pytest.fixture(autouse=True)
def own_main(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page that is run takes the place of the main module, which every process that a later test
    starts would run again."""
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])


@pytest.fixture
def empty_town(new_database: Callable[[], str]) -> Iterator[Town]:
    """An API that watches nothing."""
    directory = Path(tempfile.mkdtemp(prefix="town"))
    town = Town(directory, new_database())
    town.start()
    yield town
    town.stop()
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="module")
def town(new_database: Callable[[], str]) -> Iterator[Town]:
    """The trade system with a day of history; shared, so that tests only add to it."""
    directory = Path(tempfile.mkdtemp(prefix="town"))
    made = Town(directory, new_database())
    made.start()
    made.trade_system()
    made.history(1.2)
    yield made
    made.stop()
    shutil.rmtree(directory, ignore_errors=True)


class Pages:
    """Runs pages as Streamlit does, without a browser."""

    def __init__(self, patch: pytest.MonkeyPatch, directory: Path) -> None:
        self._patch = patch
        self._directory = directory

    def point(self, town: Town, token: str | None = None, **settings: Any) -> None:
        """Which API, and which token the dashboard has of its own."""
        file = self._directory / "token"
        file.write_text(town.tokens["viewer"] if token is None else token)
        made = Settings(
            **{
                "host": "127.0.0.1", "port": 8501, "base_path": "", "sign_in": False,
                "hosts": [], "any_host": False, "api_url": town.url, "token_file": str(file),
                **settings,
            }
        )  # fmt: skip
        self._patch.setenv(VARIABLE, json.dumps(asdict(made)))
        st.cache_resource.clear()

    def open(self, page: str = "overview", *, token: str = "", **query: str) -> AppTest:
        """A page as somebody sees it who has just opened its address; with a token, signed in."""
        script = f"from tocsin.dashboard.app import main\nmain({page!r})\n"
        at = AppTest.from_string(script, default_timeout=30)
        for name, value in query.items():
            at.query_params[name] = value
        if token:
            at.session_state["_cookie"] = signin.READERS.admit(token)[0]
        at.run()
        return at


@pytest.fixture
def pages(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Pages]:
    # There is no browser: nobody's cookie, nobody's clock.
    monkeypatch.setattr(session, "cookie", lambda: None)
    monkeypatch.setattr(session, "zone", lambda: UTC)
    # Each look of a test is a new one.
    monkeypatch.setattr(session, "SHARED", 0.0)
    yield Pages(monkeypatch, tmp_path)
    st.cache_resource.clear()


def shown(at: AppTest) -> str:
    """Every text on the page in its order, as people read it."""
    parts: list[str] = []

    def walk(node: Any) -> None:
        for child in getattr(node, "children", {}).values():
            walk(child)
        if not getattr(node, "children", None) and node.type not in ("html", "arrow_data_frame"):
            proto = getattr(node, "proto", None)
            found = [
                getattr(proto, name, None) or getattr(node, name, None)
                for name in ("label", "body", "value")
            ]
            texts = [text for text in found if isinstance(text, str) and text]
            parts.append(" ".join(dict.fromkeys(texts)))

    walk(at._tree)
    return "\n".join(parts).replace("\\", "").replace("\u2060", "")


def bars(at: AppTest) -> list[str]:
    """The uptime bars on the page."""
    bodies = [str(element.proto.body) for element in at.get("html")]
    return [body for body in bodies if body.startswith('<div class="tocsin-bar')]


def calm(at: AppTest) -> None:
    """No page shows an exception, whatever happens."""
    assert not at.exception, [e.value for e in at.exception]
