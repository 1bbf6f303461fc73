"""Tokens of readers that are good no more, and who is signed in for how long."""

from __future__ import annotations

import time
from types import SimpleNamespace

import pytest
from streamlit import config

from tests.dashboard.conftest import Pages, calm, shown
from tests.dashboard.test_pages import ALL
from tests.dashboard.town import Town
from tocsin.core.contracts.route import Role
from tocsin.dashboard import client, signin
from tocsin.dashboard.pace import Pace
from tocsin.dashboard.process import Settings
from tocsin.dashboard.serve import options


def asked(town: Town) -> int:
    """Requests that take a token."""
    return sum(number for path, number in town.calls.items() if path != "/health")


def own_token(town: Town, name: str) -> str:
    made: str = town.act(town.stack.tokens.create, name, Role.OPERATOR)
    return made


@pytest.mark.parametrize("page", ALL)
def test_a_refused_token_is_asked_with_once(pages: Pages, town: Town, page: str) -> None:
    """Revoked while it is in use: every part of the page says so and offers to sign in again, and
    not another request is made with it, whatever the page looks for."""
    name = f"ann {page}"
    pages.point(town)
    at = pages.open(page, token=own_token(town, name), name="postgres")
    calm(at)
    town.act(town.stack.tokens.revoke, name)
    town.calls.clear()
    at.run()
    calm(at)
    assert "his token is not accepted" in shown(at)
    assert asked(town) == 1
    for _ in range(25):
        at.run()
        calm(at)
    assert "his token is not accepted" in shown(at)
    assert asked(town) == 1
    next(b for b in at.button if b.label == "Sign in again").click().run()
    calm(at)
    field = next(t for t in at.text_input if t.label == "Token")
    field.set_value(town.tokens["operator"])
    next(b for b in at.button if b.label == "Sign in" and b.key != "sign-in").click().run()
    calm(at)
    assert "not accepted" not in shown(at)
    assert "operator: operator" in shown(at)
    town.act(town.server._failures._failures.clear)


def test_signing_in_again_asks_once(pages: Pages, town: Town) -> None:
    """Where the whole page asks for the token, no dialog asks for it a second time."""
    pages.point(town, sign_in=True)
    at = pages.open(token=own_token(town, "once"))
    town.act(town.stack.tokens.revoke, "once")
    at.run()
    next(b for b in at.button if b.label == "Sign in again").click().run()
    assert "Sign in with your own token" in shown(at)
    at.text_input[0].set_value(town.tokens["operator"])
    at.button[0].click().run()
    calm(at)
    assert "postgres" in shown(at)
    assert [t for t in at.text_input if t.label == "Token"] == []


def test_nobody_stays_signed_in_for_more_than_a_day(
    pages: Pages, town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also the tab in which the token was typed asks for it again."""
    pages.point(town, sign_in=True)
    at = pages.open()
    at.text_input[0].set_value(town.tokens["operator"])
    at.button[0].click().run()
    assert "postgres" in shown(at)
    now = time.monotonic()
    for seconds, there in ((signin.KEPT - 60, True), (signin.KEPT + 60, False)):
        later = SimpleNamespace(monotonic=lambda at=now + seconds: at)
        monkeypatch.setattr(signin, "time", later)
        at.run()
        calm(at)
        assert ("postgres" in shown(at)) is there
    assert "Sign in with your own token" in shown(at)


def test_what_is_good_no_more_is_asked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever comes first asks anew, and all others have that answer."""
    now, asked = [100.0], list[int]()
    monkeypatch.setattr(client, "time", SimpleNamespace(monotonic=lambda: now[0]))
    shared = client.Shared(1.5)

    def ask() -> int:
        asked.append(1)
        return len(asked)

    assert [shared.get("x", ask) for _ in range(2)] == [1, 1]
    now[0] += 2
    assert [shared.get("x", ask) for _ in range(3)] == [2, 2, 2]
    shared.clear()
    assert shared.get("x", ask) == 3


def test_the_more_readers_there_are_the_less_often_a_page_is_drawn() -> None:
    """Together they take no more than their share of a core; who is gone counts no more."""
    pace = Pace()
    waits = [pace.drawn(("page", n), 0.2, 2.0, 100.0) for n in range(8)]
    assert waits == pytest.approx([2.0, 2.0, 2.0, 2.0, 2.5, 3.0, 3.5, 4.0])
    assert pace.drawn(("page", 8), 0.2, 2.0, 1000.0) == 2.0


def test_streamlit_knows_the_options_of_the_server() -> None:
    """Each is one of its own; it does not search for garbage after each look, which took five times
    as long as the look."""
    settings = Settings(
        host="127.0.0.1", port=1, base_path="", sign_in=False, hosts=[], any_host=False,
        api_url="http://127.0.0.1:2", token_file="token",
    )  # fmt: skip
    chosen = options(settings)
    assert chosen["runner.postScriptGC"] is False
    assert chosen.keys() <= config._config_options_template.keys()
