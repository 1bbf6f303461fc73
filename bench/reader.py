"""Readers of the dashboard that are no browsers: many of them fit beside it on a small machine, and
what they wait for is the dashboard, not their own drawing.

    python bench/reader.py URL --readers 49 --cards 14

They speak what Streamlit's page speaks with its server. Its messages are Streamlit's own proto
files (https://github.com/streamlit/streamlit/tree/develop/proto/streamlit/proto, installed as
``streamlit.proto``): over the websocket ``_stcore/stream``, subprotocols ``streamlit`` and the XSRF
cookie's value, go BackMsg.proto there (``rerun_script`` with ClientState.proto and
WidgetStates.proto) and ForwardMsg.proto back (``new_session``, ``delta``, ``script_finished``,
``session_status_changed``; ``ref_hash`` for one that came before and was ``cacheable``: each
``rerun_script`` tells the hashes of those the page still has). How the page behaves stands in its
source, frontend/app/src/App.tsx and frontend/connection.

A reader asks for the same files as a browser with an empty cache, for the health of the server as
often as the dashboard's page does (``WATCH`` of dashboard/serve.py), and for the next look when the
dashboard's component would (``_WAIT`` of dashboard/pace.py, a BidiComponent.proto): that it is said
here a second time is on purpose, so that the server meets what it meets from browsers. What is not
here: drawing, and connecting again; a connection that ends is an error.

``bench/dashboard.py`` starts it. It takes the paths of the files as JSON in a first line of its
input, tells in a line of JSON when all readers have their cards, and for each further line of its
input watches them for so many seconds and tells what it saw.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import sys
import time
from collections.abc import Iterable, Sequence
from typing import Any

from aiohttp import (
    ClientConnectionError,
    ClientSession,
    ClientWebSocketResponse,
    CookieJar,
    TCPConnector,
    WSMsgType,
)
from attrs import asdict, define, field, frozen
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.BidiComponent_pb2 import BidiComponent
from streamlit.proto.Delta_pb2 import Delta
from streamlit.proto.Element_pb2 import Element
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.proto.WidgetStates_pb2 import WidgetState

GAP = 0.5
"""Seconds between two readers that come."""

PATIENCE = 120.0
"""Seconds after which a reader who has seen nothing is an error."""

CONNECTIONS = 6
"""To one host at a time, as in browsers."""

HEALTH = 3.0
"""Seconds between two looks of the page at its server."""

TICK = 0.25
"""Seconds between two looks at how old the pages are."""

XSRF = "_streamlit_xsrf"
AGAIN = "tocsin_again"
DRAWN = (ForwardMsg.FINISHED_SUCCESSFULLY, ForwardMsg.FINISHED_FRAGMENT_RUN_SUCCESSFULLY)


@define
class Counts:
    """What happened to a reader.

    ``overlaps``: runs that began while one was under way. ``impatient``: looks asked for while the
    one before was not done. ``short``: looks without all cards, or with an error in their place.
    ``loads``: pages loaded again for want of an answer.
    """

    looks: int = 0
    overlaps: int = 0
    impatient: int = 0
    short: int = 0
    loads: int = 0


@frozen(kw_only=True)
class Watched:
    """All readers for a while: their counts; ages of their pages, ever again; seconds they were
    told to wait; how late this process was itself, and its share of a core."""

    counts: list[Counts]
    ages: list[float]
    waits: list[float]
    late: float
    busy: float


@define
class Kept:
    """Messages that need not be sent again, kept as the page keeps them."""

    _runs: int = 0
    _messages: dict[str, tuple[ForwardMsg, int]] = field(factory=dict)

    def hashes(self) -> list[str]:
        """Those it has."""
        return list(self._messages)

    def whole(self, message: ForwardMsg) -> ForwardMsg:
        """The message itself, or the one it refers to in its place."""
        if message.WhichOneof("type") != "ref_hash":
            if message.metadata.cacheable:
                self._messages.setdefault(message.hash, (message, self._runs))
            return message
        found = ForwardMsg()
        found.CopyFrom(self._messages[message.ref_hash][0])
        found.metadata.CopyFrom(message.metadata)
        return found

    def ended(self, fragments: Sequence[str], most: int) -> None:
        """A run of these fragments, or of all, ended: forget what is more than ``most`` old."""
        self._runs += 1
        for key, (message, since) in list(self._messages.items()):
            of_others = fragments and message.delta.fragment_id not in fragments
            if not of_others and self._runs - since > most:
                del self._messages[key]


@define(eq=False)
class Reader:
    """One who comes to the overview and stays."""

    url: str
    files: Sequence[str]
    cards: int
    first: float | None = None
    drawn: float = 0.0
    wait: float = 0.0
    counts: Counts = field(factory=Counts)
    shown: asyncio.Event = field(factory=asyncio.Event)
    began: float = 0.0

    async def read(self) -> None:
        """Come, and stay."""
        self.began = time.monotonic()
        while True:
            await self._visit()
            self.counts.loads += 1

    async def _visit(self) -> None:
        """Until the page is to be loaded again."""
        async with ClientSession(
            self.url, auto_decompress=False, connector=TCPConnector(limit=0),
            cookie_jar=CookieJar(unsafe=True, quote_cookie=False),
        ) as session:  # fmt: skip
            await self._load(session)
            token = next(c.value for c in session.cookie_jar if c.key == XSRF)
            async with session.ws_connect(
                "/_stcore/stream", protocols=("streamlit", token), origin=self.url.rstrip("/"),
                compress=15, max_msg_size=0,
            ) as socket, asyncio.TaskGroup() as group:  # fmt: skip
                await Page(self, session, socket, group).live()

    async def _load(self, session: ClientSession) -> None:
        """The page and its files."""
        free = asyncio.Semaphore(CONNECTIONS)

        async def load(path: str) -> None:
            async with free, session.get(path) as answer:
                answer.raise_for_status()
                await answer.read()

        await load("/")
        await asyncio.gather(*map(load, self.files))
        await asyncio.gather(load("/_stcore/health"), load("/_stcore/host-config"))


@define(eq=False)
class Page:
    """A reader's page, from when it is loaded."""

    _of: Reader
    _session: ClientSession
    _socket: ClientWebSocketResponse
    _group: asyncio.TaskGroup
    _kept: Kept = field(factory=Kept)
    _widgets: dict[str, WidgetState] = field(factory=dict)
    _hash: str = ""
    _age: int = 0
    _seen: set[str] = field(factory=set)
    _faults: int = 0
    _asked: int = 0
    _is_begun: bool = False
    _is_running: bool = False
    _is_over: bool = False
    _next: asyncio.Task[None] | None = None

    async def live(self) -> None:
        """Take in what comes until the page is to be loaded again."""
        await self._ask()
        looking = self._group.create_task(self._look())
        async for message in self._socket:
            if message.type is not WSMsgType.BINARY:
                raise ConnectionError(f"the dashboard sent {message}")
            self._take(self._kept.whole(ForwardMsg.FromString(message.data)))
        if not self._is_over:
            raise ConnectionError(f"the dashboard hung up: {self._socket.close_code}")
        looking.cancel()

    async def _look(self) -> None:
        """At whether the server is there, again and again."""
        while True:
            await asyncio.sleep(HEALTH)
            await self._is_there()

    async def _is_there(self) -> bool:
        """Whether the server answers; asked once more where it had closed a connection that was
        kept, as browsers do (RFC 9112 section 9.3.1)."""
        for tries_left in (1, 0):
            try:
                async with self._session.get("/_stcore/health") as answer:
                    await answer.read()
                    return answer.ok
            except ClientConnectionError:
                if not tries_left:
                    raise
        raise AssertionError("not reached")

    async def _ask(self, of: Delta | None = None) -> None:
        """Have the script run: all of it, or the part that the component ``of`` stands in."""
        message = BackMsg()
        asked = message.rerun_script
        asked.widget_states.widgets.extend(self._widgets.values())
        asked.page_script_hash = self._hash
        asked.cached_message_hashes.extend(self._kept.hashes())
        if of is not None:
            asked.fragment_id = of.fragment_id
            component = of.new_element.bidi_component.id
            asked.widget_states.widgets.add(
                id=f"$$STREAMLIT_INTERNAL_KEY_{component}__events",
                json_trigger_value='[{"event":"again","value":true}]',
            )
        context = asked.context_info
        context.timezone, context.timezone_offset, context.locale = "UTC", 0, "en-US"
        context.url = self._of.url.rstrip("/") + "/"
        context.is_embedded, context.color_scheme = False, "light"
        self._of.counts.impatient += self._asked > 0
        self._asked += 1
        await self._socket.send_bytes(message.SerializeToString())

    def _take(self, message: ForwardMsg) -> None:
        match message.WhichOneof("type"):
            case "new_session":
                self._of.counts.overlaps += self._is_begun
                self._is_begun, self._faults = True, 0
                self._seen.clear()
                self._hash = message.new_session.page_script_hash
                self._age = message.new_session.config.max_cached_message_age
            case "navigation":
                self._hash = message.navigation.page_script_hash
            case "session_status_changed":
                self._is_running = message.session_status_changed.script_is_running
            case "delta":
                self._draw(message.delta)
            case "script_finished":
                self._finish(message)

    def _draw(self, delta: Delta) -> None:
        if delta.WhichOneof("type") == "add_block" and "-tone-" in delta.add_block.id:
            self._seen.add(delta.add_block.id)
            if self._of.first is None and len(self._seen) >= self._of.cards:
                self._of.first = time.monotonic() - self._of.began
        if delta.WhichOneof("type") != "new_element":
            return
        element = delta.new_element
        match element.WhichOneof("type"):
            case "exception":
                self._faults += 1
            case "bidi_component" if element.bidi_component.component_name == AGAIN:
                if self._next is not None:
                    self._next.cancel()
                self._of.wait = _seconds(element.bidi_component)
                self._next = self._group.create_task(self._again(delta))
            case _:
                for state in _states(element):
                    self._widgets.setdefault(state.id, state)

    def _finish(self, message: ForwardMsg) -> None:
        self._is_begun, self._asked = False, 0
        if message.script_finished not in DRAWN:
            return
        self._kept.ended(message.metadata.run.fragment_ids, self._age)
        reader = self._of
        reader.drawn = time.monotonic()
        reader.counts.looks += 1
        reader.counts.short += len(self._seen) != reader.cards or self._faults > 0
        if reader.first is not None:
            reader.shown.set()

    async def _again(self, delta: Delta) -> None:
        """Ask for the next look as the dashboard's component does."""
        wait, asked = _seconds(delta.new_element.bidi_component), 0
        await asyncio.sleep(wait)
        while True:
            if not self._is_running:
                if asked == 2:
                    if await self._is_there():
                        self._is_over = True
                        await self._socket.close()
                        return
                    asked = 0
                asked += 1
                await self._ask(delta)
            await asyncio.sleep(1.5 * wait + 1.5)


def _seconds(component: BidiComponent) -> float:
    return float(json.loads(component.json)["seconds"])


def _states(element: Element) -> Iterable[WidgetState]:
    """What the page tells of a widget that nobody has touched."""
    match element.WhichOneof("type"):
        case "text_input":
            text = element.text_input
            yield WidgetState(id=text.id, string_value=text.default)
        case "selectbox":
            box = element.selectbox
            yield WidgetState(id=box.id, string_value=box.options[box.default])
        case "button_group":
            group = element.button_group
            state = WidgetState(id=group.id)
            state.string_array_value.SetInParent()
            state.string_array_value.data.extend(group.options[n].content for n in group.default)
            yield state


async def watch(readers: Sequence[Reader], seconds: float) -> Watched:
    """How the readers fare for so long."""
    for reader in readers:
        reader.counts = Counts()
    ages, late = [], 0.0
    began, used = time.monotonic(), time.process_time()
    while (now := time.monotonic()) < began + seconds:
        ages += [now - reader.drawn for reader in readers]
        await asyncio.sleep(TICK)
        late = max(late, time.monotonic() - now - TICK)
    return Watched(
        counts=[reader.counts for reader in readers], ages=ages,
        waits=[reader.wait for reader in readers], late=late,
        busy=(time.process_time() - used) / (time.monotonic() - began),
    )  # fmt: skip


async def serve(url: str, number: int, cards: int) -> None:
    """Let so many readers come, and answer."""

    def tell(what: Any) -> None:
        print(json.dumps(what), flush=True)

    files = json.loads(await asyncio.to_thread(sys.stdin.readline))
    readers = [Reader(url, files, cards) for _ in range(number)]
    async with asyncio.TaskGroup() as group:
        tasks = []
        for reader in readers:
            tasks.append(group.create_task(reader.read()))
            await asyncio.sleep(GAP)
        async with asyncio.timeout(PATIENCE):
            for reader in readers:
                await reader.shown.wait()
        tell([reader.first for reader in readers])
        while given := await asyncio.to_thread(sys.stdin.readline):
            tell(asdict(await watch(readers, float(given))))
        for task in tasks:
            task.cancel()


def main() -> None:
    """Take part."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("url")
    options.add_argument("--readers", type=int, required=True)
    options.add_argument("--cards", type=int, required=True)
    given = options.parse_args()
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(given.url, given.readers, given.cards))


if __name__ == "__main__":
    main()
