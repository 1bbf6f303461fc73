"""The ssh-banner probe against OpenSSH, and against servers that misbehave."""

from __future__ import annotations

from typing import Any

import pytest

from tests.servers import (
    Handler,
    endless,
    endless_lines,
    free_port,
    half_a_line,
    hangs_up,
    peer,
    says,
    silent,
)
from tocsin import Result, Status, Target
from tocsin.testing import check_probe_conformance
from tocsin_net.ssh_banner import SshBannerProbe

TARGET = Target(name="t")


async def look(port: int, **options: Any) -> Result:
    """Run the probe once."""
    probe = SshBannerProbe(**{"host": "127.0.0.1", "port": port, "timeout": 5, **options})
    return await probe.check(TARGET)


async def test_openssh_is_up_with_its_version(sshd: int) -> None:
    """The parts of the identification string are attributes."""
    result = await look(sshd)
    assert result.status is Status.UP, result.message
    assert result.attributes["protocol_version"] == "2.0"
    assert result.attributes["software"].startswith("OpenSSH_")
    assert result.metrics["banner_seconds"] > 0
    assert result.message.startswith(f"127.0.0.1:{sshd} answers: OpenSSH_")


@pytest.mark.parametrize(
    ("options", "status", "words"),
    [
        ({"expect": "^SSH-2.0-OpenSSH_"}, Status.UP, "answers"),
        ({"expect": "Dropbear"}, Status.DOWN, "expected 'Dropbear', got 'SSH-2.0-OpenSSH_"),
        ({"degraded_above": 0.0}, Status.DEGRADED, "slow"),
    ],
)
async def test_what_the_string_must_contain(
    sshd: int, options: dict[str, Any], status: Status, words: str
) -> None:
    """The expression and the speed are each judged."""
    result = await look(sshd, **options)
    assert (result.status, words in result.message) == (status, True), result.message


@pytest.mark.parametrize(
    ("text", "status", "words"),
    [
        (b"SSH-2.0-x\r\n", Status.UP, "answers: x"),
        (b"SSH-2.0-x\n", Status.UP, "answers: x"),
        (b"SSH-1.99-x y z\r\n", Status.UP, "answers: x"),
        (b"Welcome\r\nto this\r\nSSH-2.0-x\r\n", Status.UP, "answers: x"),
        (b"SSH-1.5-x\r\n", Status.DOWN, "does not speak SSH 2.0: 'SSH-1.5-x'"),
        (b"SSH-\r\n", Status.DOWN, "does not speak SSH 2.0: 'SSH-'"),
        (b"SSH-2.0-\xff\x1b[2Jx\r\n", Status.UP, "answers: "),
        (b"SSH-2.0-" + b"x" * 300 + b"\r\n", Status.DOWN, "longer than 255 characters"),
        (b"220 smtp ready\r\n", Status.DOWN, "does not speak SSH; it sends '220 smtp ready'"),
    ],
)
async def test_what_servers_send(text: bytes, status: Status, words: str) -> None:
    """Other lines may come first; old versions and other protocols are down."""
    async with peer(says(text)) as port:
        result = await look(port)
    assert (result.status, words in result.message) == (status, True), result.message
    assert "\x1b" not in result.message + str(result.attributes)


@pytest.mark.parametrize(
    ("handler", "words"),
    [
        (hangs_up, "the connection was closed early"),
        (half_a_line, "the connection was closed early"),
        (silent, "no identification string of SSH within 0.4 s"),
        (endless, "the server sends a line that does not end"),
        (endless_lines, "the server does not speak SSH; it sends '* hello'"),
    ],
)
async def test_servers_that_misbehave_are_down(handler: Handler, words: str) -> None:
    """Hanging up, silence, and answers of any length are each told."""
    async with peer(handler) as port:
        result = await look(port, timeout=0.4)
    assert result.status is Status.DOWN
    assert words in result.message


async def test_an_expression_that_takes_too_long_is_tocsins_trouble() -> None:
    """Unknown, with the remedy; the event loop is not blocked for longer than the limit."""
    async with peer(says(b"SSH-2.0-" + b"a" * 200 + b"\r\n")) as port:
        result = await look(port, expect="(a|a|b)+(a|a)+(a+)+c$")
    assert result.status is Status.UNKNOWN
    assert "write it without nested repetitions" in result.message


async def test_nobody_there() -> None:
    """A refused connection names host and port."""
    port = free_port()
    result = await look(port)
    assert result.message == f"127.0.0.1:{port}: the connection was refused"


async def test_it_keeps_to_the_contract(sshd: int) -> None:
    """It passes the suite that tocsin's own probes pass, also without an answer."""
    up = SshBannerProbe(host="127.0.0.1", port=sshd, expect="SSH")
    assert (await check_probe_conformance(up)).status is Status.UP
    async with peer(silent) as port:
        mute = SshBannerProbe(host="127.0.0.1", port=port, timeout=0.3)
        assert (await check_probe_conformance(mute)).status is Status.DOWN


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"host": "ssh://a"}, "must be only a host name or an address"),
        ({"host": "a", "port": 0}, "port must be from 1 to 65535"),
        ({"host": "a", "expect": "["}, "expect = .* is not a regular expression"),
    ],
)
def test_wrong_options_are_refused_with_the_remedy(options: dict[str, Any], words: str) -> None:
    """Each wrong option is answered in one sentence."""
    with pytest.raises(ValueError, match=words):
        SshBannerProbe(**options)
