"""Requests that no good client sends."""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
from typing import Any

import pytest

from tests.api.conftest import Asker, Stack
from tests.conftest import eventually
from tests.kept import flush
from tocsin.core.contracts.model import ComponentHealth, Health, Status, Target
from tocsin.core.contracts.route import Role
from tocsin.core.http import ApiServer

pytestmark = pytest.mark.usefixtures("stack")
BEAT = "/api/v1/heartbeats/job"


async def raw(port: int | None, data: bytes) -> bytes:
    """Send bytes; all that comes back until the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    async with asyncio.timeout(20):
        answer = await reader.read()
    writer.close()
    return answer


async def test_a_token_of_odd_bytes_is_unknown(ask: Asker) -> None:
    """Bytes that are no text are a token nobody has: 401, not a fault."""
    port = ask.client.port
    head = b"GET /api/v1/status HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
    answer = await raw(port, head + b"Authorization: Bearer \xff\xfe\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 401 ")
    assert b"Server: tocsin" in answer


BAD_BODIES: tuple[tuple[bytes, dict[str, str], int, str], ...] = (
    (b"abcd", {"Content-Encoding": "gzip"}, 400, "encoding"),
    (gzip.compress(b" " * 50_000_000), {"Content-Encoding": "gzip"}, 413, "larger"),
    (b'{"message":"\xff"}', {}, 400, "not JSON"),
    (b'{"message":"\\ud800"}', {}, 400, "not JSON"),
    (b'{"metrics":' + b"[" * 20_000, {}, 400, "nested"),
    (b"[]", {}, 422, "object"),
    (b"3", {}, 422, "object"),
    (b'{"stauts":"down"}', {}, 422, "stauts"),
    (b'{"metrics":{"a":1e999}}', {}, 400, "JSON"),
    (b'{"metrics":{"a":"1"}}', {}, 422, "metrics"),
    (json.dumps({"metrics": {str(n): 1 for n in range(101)}}).encode(), {}, 422, "metrics"),
)


async def test_a_bad_body_is_told_and_changes_nothing(
    ask: Asker, stack: Stack, subtests: pytest.Subtests
) -> None:
    """Broken, huge, deep, misspelt or mistyped bodies are refused in a sentence; no beat counts."""
    for data, headers, status, words in BAD_BODIES:
        with subtests.test(data=data[:60]):
            problem = await ask.post(BEAT, status, data=data, headers=headers)
            assert words in problem["detail"]
            assert problem["instance"] == BEAT
            assert stack.beats == {}


TEXT = {"Content-Type": "text/plain"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
BEATS: tuple[tuple[bytes, dict[str, str], Status, str], ...] = (
    (json.dumps({"message": "x" * 5_000}).encode(), {}, Status.UP, "xxx"),
    (json.dumps({"status": "down", "message": "x" * 200_000}).encode(), {}, Status.DOWN, "xxx"),
    (b"backup done: 3 files", {}, Status.UP, "backup done: 3 files"),
    (b"backup done", TEXT, Status.UP, "backup done"),
    (b"3", TEXT, Status.UP, "3"),
    (b"done \xff" * 50_000, TEXT, Status.UP, "done"),
    (b"backup+done", FORM, Status.UP, "backup+done"),
    (b"status=down&message=disk+full", FORM, Status.DOWN, "disk full"),
    (b'{"status": "down"}', FORM, Status.DOWN, ""),
    (b"status=down&exit=3", FORM, Status.DOWN, ""),
    (b"status=down&message=cp failed: a&b=c", FORM, Status.DOWN, "cp failed: a"),
    (b"message=x&status=DOWN&metrics=1", FORM, Status.DOWN, "x"),
    (b"exit=3", FORM, Status.UP, "exit=3"),
    (b" \r\n", FORM, Status.UP, ""),
    (b"status=failed&message=disk+full", FORM, Status.DOWN, "disk full"),
    (b"status=down", {"Content-Type": "application/octet-stream"}, Status.DOWN, "reported"),
    (
        b'--b\r\nContent-Disposition: form-data; name="status"\r\n\r\ndown\r\n--b--\r\n',
        {"Content-Type": "multipart/form-data; boundary=b"},
        Status.DOWN,
        "reported a failure",
    ),
    (b'{"status":"DOWN"}', {}, Status.DOWN, "reported a failure"),
    (b'{"status":"failed","message":"full"}', {}, Status.DOWN, "full"),
    (b'{"status":"down","message":"\xff"}', {}, Status.DOWN, "reported a failure"),
    (b'{"status":"down","message":"half', {}, Status.DOWN, "reported a failure"),
    (b'{"status":"down","message":"full","exit":3}', {}, Status.DOWN, "full"),
    (b'{"status":"down","message":"full","metrics":{"a":"1"}}', {}, Status.DOWN, "full"),
    (b'{"status":"down","message":7}', {}, Status.DOWN, "reported a failure"),
    (b'{"status":"down","message":"' + b"x" * 500_000, {}, Status.DOWN, "reported a failure"),
)


async def test_no_report_is_lost(ask: Asker, stack: Stack, subtests: pytest.Subtests) -> None:
    """Long messages are cut, texts and forms are taken, and that a job failed is kept whatever else
    is wrong with its report."""
    for data, headers, status, words in BEATS:
        with subtests.test(data=data[:60]):
            stack.beats.clear()
            await ask.post(BEAT, data=data, headers=headers)
            assert stack.beats["job"].status is status
            assert words in stack.beats["job"].message
            assert len(stack.beats["job"].message) <= 500
    problem = await ask.post(BEAT, 422, data=b"status=sick", headers=FORM)
    assert "status" in problem["detail"]
    # Another thing in it that is down is no failure of the job's.
    await ask.post(BEAT, 422, data=b'{"status":"up","msg":"replica status: down"}')


async def test_a_ping_is_a_beat(ask: Asker, stack: Stack) -> None:
    """GET and HEAD report, too, and may say how it went in the query, as may a POST."""
    for method in ("GET", "HEAD", "POST"):
        for query, status in (
            ("", Status.UP), ("?status=down&message=full", Status.DOWN),
            ("?status=failed&message=full", Status.DOWN),
        ):  # fmt: skip
            stack.beats.clear()
            answer = await ask.client.request(method, BEAT + query, headers=ask.headers)
            assert answer.status == 200
            assert stack.beats["job"].status is status
            assert stack.beats["job"].message == ("full" if query else "")


async def test_a_failure_in_the_query_counts_whatever_the_body_is(ask: Asker, stack: Stack) -> None:
    """A body that is no JSON, or of a form that nobody takes, costs nobody the report."""
    for body in (b"{", b'{"metrics":{"a":"1"}}'):
        stack.beats.clear()
        await ask.post(BEAT + "?status=down&message=full", data=body)
        assert stack.beats["job"].status is Status.DOWN
        assert stack.beats["job"].message == "full"


async def test_a_beat_cannot_carry_control_characters(ask: Asker, stack: Stack) -> None:
    """What a job says is shown on terminals: escapes and line breaks do not survive."""
    body = {"status": "down", "message": "\x1b[31mred\nline", "metrics": {"a\n": 1}}
    await ask.post(BEAT, json=body)
    beat = stack.beats["job"]
    assert beat.status is Status.DOWN
    assert beat.message.isprintable()
    assert all(name.isprintable() for name in beat.metrics)


async def test_log_lines_are_fit_to_be_shown(ask: Asker) -> None:
    """Whatever a source hands on: no escapes, no bidi marks, no password."""
    line = (await ask.get("/api/v1/containers/web/logs?lines=1"))["items"][0]
    assert line["stream"] == "stderr"
    assert line["text"].isprintable()
    assert "hunter2" not in line["text"]
    await ask.get("/api/v1/containers/web/logs?lines=10001", 422)


async def test_labels_and_health_show_no_secret(ask: Asker, stack: Stack) -> None:
    """Viewers see labels, and anybody sees /health: neither shows a password."""
    stack.state.put(
        Target(name="web", kind="container", labels={"db_password": "hunter2", "team": "a"}),
        declared=True, source="docker", at=stack.clock.now(),
    )  # fmt: skip
    detail = await ask.get("/api/v1/containers/web")
    assert detail["labels"] == {"db_password": "***", "team": "a"}
    assert (await ask.get("/api/v1/targets/web"))["target"]["labels"]["db_password"] == "***"
    stack.parts["source.far"] = ComponentHealth(
        status=Health.DEGRADED, message="tcp://me:hunter2@engine:2376 cannot be asked"
    )
    answer = await ask.client.get("/health")
    assert "hunter2" not in await answer.text()
    assert "cannot be asked" in await answer.text()


async def test_a_restart_that_breaks_is_audited_too(
    ask: Asker, stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever comes of a restart, a row tells who tried it and that it failed."""

    async def boom(target: str) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(stack.restarts, "do", boom)
    problem = await ask.post("/api/v1/containers/web/restart", 500)
    assert problem["instance"].startswith("urn:uuid:")
    await flush(stack.history)
    (row,) = (await ask.get("/api/v1/audit"))["items"]
    assert (row["subject"], row["outcome"]) == ("web", "failed: RuntimeError")


async def test_damaged_tokens_are_told(ask: Asker, stack: Stack) -> None:
    """A tokens file that cannot be read lets nobody in, and says so without its text."""
    path = stack.data_dir / "tokens.db"
    good = path.read_bytes()
    path.write_bytes(b'[{"id": "secret')
    problem = await ask.get("/api/v1/status", 503)
    assert "secret" not in json.dumps(problem)
    assert (await ask.client.get("/health")).status == 200
    path.write_bytes(good)
    assert (await ask.get("/api/v1/status"))["checks"] > 0


async def test_what_is_not_http_leaves_no_traceback_in_the_log(
    stack: Stack, caplog: pytest.LogCaptureFixture
) -> None:
    """A port scan gets a 400, and the log no traceback."""
    server = ApiServer(stack)
    port = int((await server.start("127.0.0.1", 0)).rpartition(":")[2])
    with caplog.at_level(logging.INFO):
        for data in (b"\x16\x03\x01\x02\x00garbage\r\n\r\n", b"GET /\xff HTTP/1.1\r\n\r\n"):
            assert b" 400 " in await raw(port, data)
    await server.stop()
    assert not [record for record in caplog.records if record.exc_info]


async def test_a_client_that_leaves_in_mid_body_is_no_fault(
    stack: Stack, caplog: pytest.LogCaptureFixture
) -> None:
    """Half a body and then nothing more is not tocsin's fault, and is not logged as one."""
    server = ApiServer(stack)
    port = int((await server.start("127.0.0.1", 0)).rpartition(":")[2])
    token = stack.tokens.create("job", Role.OPERATOR)
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    head = f"POST {BEAT} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n"
    writer.write(head.encode() + b"Content-Length: 1000\r\n\r\n{")
    runner: Any = server._runner
    await eventually(lambda: any(c._request_in_progress for c in runner.server.connections))
    with caplog.at_level(logging.INFO):
        writer.transport.abort()
        await eventually(lambda: not runner.server.connections)
    await server.stop()
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert stack.beats == {}
