"""All probes inside tocsin, from a configuration file."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from aiohttp import web

from tests.mail_servers import MAIL_PASSWORD
from tests.pki import Pki, server_context
from tests.servers import silent


async def _greet(request: web.Request) -> web.WebSocketResponse:
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    await socket.send_str("hello")
    await socket.receive()
    return socket


async def test_all_probes_run_in_tocsin(
    pki: Pki,
    name_server: int,
    exim: tuple[int, int],
    dovecot: tuple[int, int],
    sshd: int,
    tmp_path: Path,
) -> None:
    """The command ``tocsin check`` reports every check up, and shows no password."""
    application = web.Application()
    application.router.add_get("/", _greet)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    tls = await asyncio.start_server(
        silent, "127.0.0.1", 0, ssl=server_context(pki.issue("localhost"))
    )
    mail = f'user = "watch"\npassword = "${{MAIL_PASSWORD}}"\nca_file = "{pki.ca_file}"'
    checks = {
        "ping": 'host = "127.0.0.1"',
        "dns": f'name = "www.example.test"\nservers = ["127.0.0.1"]\nport = {name_server}',
        "tls": f'host = "localhost"\nport = {tls.sockets[0].getsockname()[1]}\n'
        f'ca_file = "{pki.ca_file}"',
        "websocket": f'url = "ws://127.0.0.1:{runner.addresses[0][1]}/"\nexpect = "hello"',
        "ssh-banner": f'host = "127.0.0.1"\nport = {sshd}',
        "smtp": f'host = "localhost"\nport = {exim[0]}\nsecurity = "starttls"\n{mail}',
        "imap": f'host = "localhost"\nport = {dovecot[1]}\nsecurity = "tls"\n{mail}',
    }
    file = tmp_path / "tocsin.toml"
    file.write_text(
        "\n".join(
            f'[targets.here.checks.{name}]\nprobe = "{name}"\n{options}'
            for name, options in checks.items()
        )
    )
    process = await asyncio.create_subprocess_exec(
        str(Path(sys.executable).with_name("tocsin")),
        "-c", str(file), "check", "--json", "here",
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        env={"PATH": "/usr/bin:/bin", "TOCSIN_DATA_DIR": str(tmp_path / "data"),
             "MAIL_PASSWORD": MAIL_PASSWORD},
    )  # fmt: skip
    out, err = await asyncio.wait_for(process.communicate(), 60)
    tls.close()
    await runner.cleanup()
    assert process.returncode == 0, (out, err)
    assert MAIL_PASSWORD not in (out + err).decode()
    assert {one["check"].removeprefix("here/") for one in json.loads(out)} == set(checks), out
