"""The browser's own network: what happens to the machine's interfaces does not reach it."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from playwright.sync_api import Error

from tests.conftest import REQUIRE_REAL
from tests.dashboard.browser import chromium
from tests.dashboard.own_network import own_network

pytestmark = pytest.mark.browser


class Page(BaseHTTPRequestHandler):
    """Answers each request on a connection of its own."""

    def do_GET(self) -> None:
        """Send something small after a while."""
        time.sleep(0.02)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


ASK = """async () => {
    let failed = 0;
    const ask = n => fetch("/" + n).catch(() => failed++);
    for (let round = 0; round < 10; round++)
        await Promise.all([...Array(50).keys()].map(n => ask(50 * round + n)));
    return failed;
}"""
"""Asks for much at once, so that most requests wait for a connection; says how many failed."""


@contextmanager
def serving() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/"
    server.shutdown()
    server.server_close()


@contextmanager
def interfaces_that_come_and_go() -> Iterator[None]:
    """What starting and ending containers does to the machine: interfaces with addresses."""
    name, over = f"tocsin{os.getpid() % 100000}", threading.Event()
    add = ["ip", "link", "add", name, "type", "veth", "peer", "name", f"{name}p"]
    done = subprocess.run(add, capture_output=True)
    if done.returncode != 0:
        assert not REQUIRE_REAL, done.stderr
        pytest.skip("an interface cannot be made here")

    links = [f"link set {end} {{}}" for end in (name, f"{name}p")]
    address = f"addr {{}} 203.0.113.7/32 dev {name}"
    commands = [
        *(link.format("up") for link in links), address.format("add"), address.format("del"),
        *(link.format("down") for link in links),
    ]  # fmt: skip

    def work() -> None:
        while not over.is_set():
            for command in commands:
                subprocess.run(["ip", *command.split()], capture_output=True)
                over.wait(0.05)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        subprocess.run(["ip", "link", "del", name], capture_output=True)


def test_containers_that_start_do_not_disturb_the_browser() -> None:
    """While interfaces come and go on the machine, no request fails."""
    with serving() as url, chromium() as browser, interfaces_that_come_and_go():
        page = browser.new_page()
        page.goto(url)
        assert page.evaluate(ASK) == 0


def test_the_browser_reaches_loopback_only() -> None:
    """An address outside is refused by the browser's proxy, which asks nobody."""
    with own_network("chromium") as network:
        if network is None:
            pytest.skip("a network namespace cannot be made here")
    with chromium() as browser, pytest.raises(Error, match="ERR_SOCKS_CONNECTION_FAILED"):
        browser.new_page().goto("http://203.0.113.7/", timeout=10_000)
