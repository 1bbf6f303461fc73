"""What the core gives to runtimes of plugins, and when it opens and closes them."""

from __future__ import annotations

import asyncio
import gc
import os
import stat
import threading
import weakref
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import structlog
from aiohttp import web

from tests.conftest import eventually
from tocsin import Event, Json
from tocsin.core.hiding import clean
from tocsin.core.plugin.contexts import Contexts
from tocsin.core.plugin.faults import PluginFault
from tocsin.testing import RecordingContext, SettableClock


class Seen:
    """Receives events, and notes in which thread."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.threads: set[int] = set()

    def happened(self, event: Event) -> None:
        self.events.append(event)
        self.threads.add(threading.get_ident())


@pytest.fixture
def seen() -> Seen:
    return Seen()


@pytest.fixture
async def made(tmp_path: Path, clock: SettableClock, seen: Seen) -> AsyncIterator[Contexts]:
    env = {"SHOP_KEY": "s3cr3t-0f-the-shop", "FILED_FILE": str(tmp_path / "filed")}
    found = Contexts(tmp_path, clock, env, seen)
    yield found
    for plugin in found.in_use():
        await found.close(plugin)
    found.stop()


def happening(**more: Any) -> Event:
    return Event(
        **{
            "target": "site",
            "source": "p",
            "action": "seen",
            "at": datetime(2026, 1, 15, tzinfo=UTC),
            **more,
        }
    )


# Stored values


@pytest.mark.parametrize("value", [None, True, 7, 1.5, "ü", [1, [2]], {"a": {"b": None}}])
async def test_stored_values_outlast_tocsin(
    made: Contexts, tmp_path: Path, clock: SettableClock, value: Json
) -> None:
    """What one life of tocsin stored, the next one has, for the same plugin only."""
    await made.of("p", "site/a").storage.put("key", value)
    made.stop()
    later = Contexts(tmp_path, clock)
    assert await later.of("p", "site/b").storage.get("key") == value
    assert await later.of("q", "site/a").storage.get("key") is None
    later.stop()
    assert stat.S_IMODE((tmp_path / "plugins.db").stat().st_mode) == 0o600


async def test_none_removes_a_stored_value(made: Contexts) -> None:
    """It makes room for others, too."""
    storage = made.of("p", "x").storage
    await storage.put("key", 1)
    await storage.put("key", None)
    assert await storage.get("key") is None


async def test_stored_keys_can_be_listed(made: Contexts) -> None:
    """All, or those with a beginning, without wildcards; sorted, of the own plugin only."""
    await made.of("q", "x").storage.put("seen/z", 1)
    for storage in (made.of("p", "x").storage, RecordingContext().storage):
        assert await storage.keys() == []
        for key in ("seen/b", "seen/a", "100%", "1000", "ü"):
            await storage.put(key, 1)
        await storage.put("seen/c", None)
        assert await storage.keys() == ["100%", "1000", "seen/a", "seen/b", "ü"]
        assert await storage.keys("seen/") == ["seen/a", "seen/b"]
        assert await storage.keys("100%") == ["100%"]
        assert await storage.keys("_") == []


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("", 1, "1 to 200 characters"),
        ("x" * 201, 1, "1 to 200 characters"),
        ("k", "x" * 70_000, "at most 65536"),
        ("k", {1, 2}, "no JSON"),
        ("k", [float("nan")], "no JSON"),
        ("k", {"a": float("inf")}, "no JSON"),
        ("k", object(), "no JSON"),
    ],
)
async def test_what_cannot_be_stored_is_refused(
    made: Contexts, key: str, value: Any, words: str
) -> None:
    """In a sentence, and by the recording context of the testing kit in the same way."""
    for storage in (made.of("p", "x").storage, RecordingContext().storage):
        with pytest.raises(ValueError, match=words):
            await storage.put(key, value)


async def test_a_plugin_cannot_fill_the_disk(
    made: Contexts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The number of its keys is bounded; those it has can still be changed."""
    monkeypatch.setattr("tocsin.core.plugin.storage.MOST", 3)
    storage = made.of("p", "x").storage
    for n in range(3):
        await storage.put(f"k{n}", n)
    with pytest.raises(ValueError, match="has 3 stored keys"):
        await storage.put("k3", 3)
    await storage.put("k2", "other")
    await made.of("q", "x").storage.put("k3", 3)


async def test_a_damaged_file_begins_anew(made: Contexts, tmp_path: Path) -> None:
    """It is moved aside with one error in the log, and plugins can store again; the same where the
    file is taken away while it is open."""
    (tmp_path / "plugins.db").write_bytes(b"no database at all " * 100)
    storage = made.of("p", "x").storage
    with structlog.testing.capture_logs() as lines:
        assert await storage.get("key") is None
    assert [line["log_level"] for line in lines] == ["error"]
    await storage.put("key", 1)
    assert await storage.get("key") == 1
    assert len(list(tmp_path.glob("plugins.db.broken-*"))) == 1
    (tmp_path / "plugins.db").unlink()
    await storage.put("key", 2)
    assert await storage.get("key") == 2


async def test_a_disk_that_fails_is_an_os_error(tmp_path: Path, clock: SettableClock) -> None:
    """A plugin gets an error that it can expect, and not one of the database."""
    (tmp_path / "plugins.db").mkdir()
    with pytest.raises(OSError, match=r"plugins\.db"):
        await Contexts(tmp_path, clock).of("p", "x").storage.get("key")


async def test_what_root_makes_belongs_to_the_owner(made: Contexts, tmp_path: Path) -> None:
    """A command that root runs does not lock out the user whose directory it is."""
    if os.geteuid() != 0:
        pytest.skip("only root can give files away")
    os.chown(tmp_path, 12345, 12345)
    await made.of("p", "x").storage.put("key", 1)
    for path in (tmp_path / "plugins.db", made.of("p", "x").directory, tmp_path / "plugins"):
        assert path.stat().st_uid == 12345


# Directory, secrets, network, threads


@pytest.mark.parametrize("name", ["p", "a/b", "..", ".hidden", "ü b"])
async def test_each_plugin_has_a_directory(made: Contexts, tmp_path: Path, name: str) -> None:
    """It is private, lies in the data directory whatever the plugin is called, and is the same for
    all that the plugin opens."""
    found = made.of(name, "site/a").directory
    assert found.parent == tmp_path / "plugins"
    assert stat.S_IMODE(found.stat().st_mode) == 0o700
    assert made.of(name, "site/b").directory == found


async def test_secrets_come_from_the_environment(made: Contexts, tmp_path: Path) -> None:
    """From a variable or the file that another names; from then on no text shows them."""
    context = made.of("p", "x")
    (tmp_path / "filed").write_text("h1dden-in-a-file\n")
    key, filed = await context.secret("SHOP_KEY"), await context.secret("FILED")
    assert key is not None
    assert filed is not None
    assert (key.reveal(), filed.reveal()) == ("s3cr3t-0f-the-shop", "h1dden-in-a-file")
    assert "s3cr3t" not in clean("it is s3cr3t-0f-the-shop")
    assert await context.secret("NO_SUCH") is None
    (tmp_path / "filed").unlink()
    with pytest.raises(OSError, match="FILED"):
        await context.secret("FILED")


async def test_the_http_session_is_shared_and_closed(made: Contexts) -> None:
    """All runtimes of a plugin have one; it works, and is closed with the plugin."""

    async def hello(request: web.Request) -> web.Response:
        return web.Response(text=request.headers["User-Agent"])

    app = web.Application()
    app.router.add_get("/", hello)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port = runner.addresses[0][1]
    session = made.of("p", "a").http
    assert session is made.of("p", "b").http
    assert session is not made.of("q", "a").http
    async with session.get(f"http://127.0.0.1:{port}/") as answer:
        assert await answer.text() == "tocsin"
    await made.close("p")
    assert session.closed
    await runner.cleanup()


async def test_checks_share_no_cookies_and_wait_for_no_connection(made: Contexts) -> None:
    """A cookie of one check is not sent by another; a hundred that hang do not keep one more from
    its answer."""
    hanging, cookies = asyncio.Event(), []

    async def hang(request: web.Request) -> web.Response:
        await hanging.wait()
        return web.Response()

    async def hello(request: web.Request) -> web.Response:
        cookies.append(dict(request.cookies))
        answer = web.Response(text="hello")
        answer.set_cookie("session", "alice")
        return answer

    app = web.Application()
    app.router.add_get("/", hello)
    app.router.add_get("/hang", hang)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
    session = made.of("p", "a").http
    stuck = [asyncio.ensure_future(session.get(f"{url}hang")) for _ in range(120)]
    for _ in range(2):
        async with asyncio.timeout(20), session.get(url) as answer:
            assert await answer.text() == "hello"
    assert cookies == [{}, {}]
    hanging.set()
    for answer in await asyncio.gather(*stuck):
        answer.release()
    await runner.cleanup()


async def test_the_session_of_a_loop_that_ended_is_dropped(made: Contexts) -> None:
    """A plugin whose thread is replaced gets a new one, and the old loop is not kept."""
    context = made.of("p", "x")

    async def use() -> None:
        assert not context.http.closed

    loops = []
    for _ in range(3):
        loop = asyncio.new_event_loop()
        loops.append(weakref.ref(loop))
        await asyncio.to_thread(loop.run_until_complete, use())
        loop.close()
    del loop
    await use()
    gc.collect()
    assert [found() for found in loops] == [None] * 3


async def test_what_blocks_runs_in_a_thread_of_the_plugin(made: Contexts) -> None:
    """With its arguments; its result and its error come back."""

    def work(number: int, *, fails: bool = False) -> tuple[int, str]:
        if fails:
            raise ValueError("no")
        return number, threading.current_thread().name

    context = made.of("p", "x")
    number, thread = await context.in_thread(work, 7)
    assert number == 7
    assert thread.startswith("tocsin p")
    with pytest.raises(ValueError, match="no"):
        await context.in_thread(work, 7, fails=True)


# Events


async def test_events_reach_the_core_in_its_own_thread(made: Contexts, seen: Seen) -> None:
    """Whether the plugin runs in the core's loop or in a thread with another."""
    context = made.of("p", "x")
    await context.emit(happening())
    await asyncio.to_thread(asyncio.run, context.emit(happening(action="elsewhere")))
    await eventually(lambda: len(seen.events) == 2)
    assert [event.action for event in seen.events] == ["seen", "elsewhere"]
    assert seen.threads == {threading.get_ident()}


async def test_an_event_that_is_none_is_the_plugins_fault(made: Contexts, seen: Seen) -> None:
    """It raises where it is emitted, and nothing is recorded."""
    with pytest.raises(PluginFault):
        await made.of("p", "x").emit("no event")  # type: ignore[arg-type]
    assert not seen.events


async def test_a_plugin_cannot_flood_the_history(
    made: Contexts, seen: Seen, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond a first hundred, events are dropped, with one line in the log; a check that emits them
    does not wait for it. Another plugin's go through."""
    monkeypatch.setattr("tocsin.core.plugin.contexts.RATE", 0.001)
    context = made.of("p", "x")
    with structlog.testing.capture_logs() as lines:
        for _ in range(150):
            await context.emit(happening())
        await made.of("q", "x").emit(happening(source="q"))
    assert [event.source for event in seen.events].count("p") == 100
    assert [event.source for event in seen.events].count("q") == 1
    assert [line["plugin"] for line in lines if "too many events" in line["event"]] == ["p"]


# Opening and closing
