"""The dashboard behind a reverse proxy, with a path and without: Streamlit, and nginx before it."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest
from attrs import asdict, frozen

from tests.conftest import need
from tests.running import free_port
from tocsin.dashboard import DashboardService
from tocsin.dashboard.process import VARIABLE, Settings, _answers
from tocsin.dashboard.serve import Doors
from tocsin.dashboard.signin import COOKIE

NAME = "watch.example.org"
PAGE = f"https://{NAME}"

CHILD = """
from tocsin.dashboard.serve import main
from tocsin.dashboard.signin import READERS
print(*[READERS.admit("token")[1] for _ in range(4)], flush=True)
main()
"""
"""The server as it is, with readers who have just given their token."""


@pytest.mark.parametrize(
    ("options", "sign_in", "any_host"),
    [
        ({}, False, False), ({"host": "::1"}, False, False), ({"host": "0.0.0.0"}, True, True),
        ({"base_path": "tocsin"}, True, False), ({"base_path": "/"}, False, False),
        ({"hosts": (NAME,)}, True, False), ({"hosts": (NAME,), "host": "::"}, True, False),
        ({"base_path": "tocsin", "sign_in": False}, False, False),
        ({"host": "0.0.0.0", "sign_in": False}, False, True),
    ],
)  # fmt: skip
def test_behind_a_proxy_readers_sign_in(
    options: dict[str, object], sign_in: bool, any_host: bool
) -> None:
    """Unless that is switched off by name; on this machine alone anybody may look."""
    made = DashboardService(**options).settings("", "")  # type: ignore[arg-type]
    assert (made.sign_in, made.any_host) == (sign_in, any_host)


@pytest.mark.parametrize("name", ["https://a", "a:80", "a/b", "", "a b", "*", "*.a", "a\n"])
def test_a_host_is_a_name(name: str) -> None:
    """What is no name is refused with an example of one."""
    with pytest.raises(ValueError, match=r"write it as it appears in"):
        DashboardService(hosts=(name,))


LOCAL = Doors(hosts=frozenset({"127.0.0.1"}))
PROXY = Doors(hosts=frozenset({"127.0.0.1", NAME}))
NETWORK = Doors(hosts=frozenset({"0.0.0.0"}), any_name=True, any_address=True)
OPEN = Doors(hosts=frozenset({"0.0.0.0"}), any_address=True)


@pytest.mark.parametrize(
    ("doors", "host", "origin", "enters"),
    [
        (LOCAL, "localhost:8501", None, True), (LOCAL, "[::1]:8501", "http://[::1]:8501", True),
        (LOCAL, "127.0.0.1:8501", "http://127.0.0.1:8501", True), (LOCAL, NAME, None, False),
        (LOCAL, "localhost:8501", "http://localhost:3000", False), (LOCAL, "", None, False),
        (LOCAL, "localhost:8501", PAGE, False), (LOCAL, "localhost:8501", "null", False),
        (LOCAL, "localhost.evil.org", None, False), (LOCAL, "evil.org:x", None, False),
        (LOCAL, "localhost@evil.org", None, False), (LOCAL, "evil.org/localhost", None, False),
        (LOCAL, "LOCALHOST.:8501", "http://localhost.:8501", True),
        (LOCAL, "10.0.0.1", None, False), (LOCAL, "a..b", None, False),
        (PROXY, NAME, PAGE, True), (PROXY, NAME.upper(), PAGE, True), (PROXY, NAME, None, True),
        (PROXY, "127.0.0.1:8501", PAGE, True), (PROXY, "127.0.0.1:8501", "https://evil.org", False),
        (PROXY, NAME, "https://evil.org", False), (PROXY, "evil.org", "https://evil.org", False),
        (PROXY, NAME, f"{PAGE}.evil.org", False), (PROXY, NAME, f"https://{NAME}@evil.org", False),
        (PROXY, NAME, "http://127.0.0.1:3000", False), (PROXY, NAME, "file://", False),
        (NETWORK, "tower.lan:8501", "http://tower.lan:8501", True),
        (NETWORK, "tower.lan:8501", "http://evil.org", False),
        (OPEN, "tower.lan:8501", None, False), (OPEN, "10.0.0.1:8501", None, True),
        (OPEN, "10.0.0.1:8501", "http://10.0.0.2:8501", False),
    ],
)  # fmt: skip
def test_who_is_let_in(doors: Doors, host: str, origin: str | None, enters: bool) -> None:
    """Requests for our names, from our pages; a refusal says what to set."""
    reason = doors.refusal(host, origin)
    assert (not reason) is enters
    assert enters or "hosts in [services.dashboard]" in reason


@frozen
class Place:
    """A dashboard behind nginx; ``codes`` are for one sign-in each."""

    base: str
    direct: str
    proxy: str
    codes: list[str]


@pytest.fixture(scope="module", params=["", "watch/tocsin"], ids=["root", "path"])
def place(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Place]:
    """Streamlit and nginx, both on loopback."""
    nginx = need("nginx")
    directory: Path = tmp_path_factory.mktemp("proxy")
    port, front = free_port(), free_port()
    settings = DashboardService(port=port, base_path=request.param, hosts=(NAME,)).settings(
        "http://127.0.0.1:1", str(directory / "token")
    )
    base = f"/{request.param}" if request.param else ""
    (directory / "nginx.conf").write_text(
        f"daemon off; master_process off; pid {directory}/pid; error_log stderr;\n"
        "events {}\n"
        f"http {{ access_log off; client_body_temp_path {directory}/a;"
        f" proxy_temp_path {directory}/b; fastcgi_temp_path {directory}/c;"
        f" uwsgi_temp_path {directory}/d; scgi_temp_path {directory}/e;\n"
        f"server {{ listen 127.0.0.1:{front};\n"
        f"location {base}/ {{ proxy_pass http://127.0.0.1:{port}; proxy_http_version 1.1;"
        " proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;"
        " proxy_set_header Host $http_host; } } }\n"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        cwd=directory, env={**os.environ, VARIABLE: json.dumps(asdict(settings))},
    )  # fmt: skip
    front_end = subprocess.Popen([nginx, "-c", str(directory / "nginx.conf"), "-p", str(directory)])
    try:
        assert child.stdout is not None
        codes = child.stdout.readline().split()
        asyncio.run(_until_it_answers(settings))
        yield Place(
            base, f"http://127.0.0.1:{port}{base}", f"http://127.0.0.1:{front}{base}", codes
        )
    finally:
        for process in (child, front_end):
            process.kill()
            process.wait()


async def _until_it_answers(settings: Settings) -> None:
    async with asyncio.timeout(180):
        while not await _answers(settings):
            await asyncio.sleep(0.2)


async def test_signing_in_gives_a_cookie(place: Place) -> None:
    """Through the proxy, and without: for the dashboard's path alone, out of scripts' reach, and by
    TLS alone where the reader's browser speaks it."""
    for url, host, origin in (
        (place.proxy, NAME, PAGE),
        (place.direct, "", place.direct.removesuffix(place.base)),
    ):
        async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as browser:
            headers = {"Origin": origin, "X-Tocsin-Code": place.codes.pop()}
            headers |= {"Host": host} if host else {}
            async with browser.post(f"{url}/tocsin/sign-in", headers=headers) as answer:
                assert answer.status == 204
                cookie = answer.cookies[COOKIE]
            assert cookie.value
            assert (cookie["path"], cookie["httponly"]) == (place.base or "/", True)
            assert (cookie["samesite"], bool(cookie["secure"])) == ("strict", bool(host))
            async with browser.post(f"{url}/tocsin/sign-in", headers=headers) as answer:
                assert answer.status == 403  # a code is good once
            async with browser.post(f"{url}/tocsin/sign-out", headers=headers) as answer:
                assert answer.status == 204
                assert answer.cookies[COOKIE]["path"] == (place.base or "/")


@pytest.mark.parametrize(
    ("host", "origin", "status"),
    [
        (NAME, PAGE, 200), (NAME, None, 200), ("evil.org", None, 403),
        ("evil.org", "https://evil.org", 403), (NAME, "https://evil.org", 403),
    ],
)  # fmt: skip
async def test_names_and_pages_of_elsewhere_are_refused(
    place: Place, host: str, origin: str | None, status: int
) -> None:
    """The page, the sign-in and the live connection alike, with a path and without."""
    headers = {"Host": host} | ({"Origin": origin} if origin else {})
    async with aiohttp.ClientSession() as browser:
        async with browser.get(f"{place.proxy}/", headers=headers) as answer:
            assert answer.status == status
            assert ("hosts in [services.dashboard]" in await answer.text()) is (status == 403)
            assert answer.headers["X-Frame-Options"] == "DENY"
        async with browser.post(f"{place.proxy}/tocsin/sign-in", headers=headers) as answer:
            assert answer.status == 403  # for want of a code, if not for the name
        opening = browser.ws_connect(f"{place.proxy}/_stcore/stream", headers=headers)
        if status == 403:
            with pytest.raises(aiohttp.WSServerHandshakeError, match="403"):
                await opening
        else:
            await (await opening).close()
