"""The command line, as a stranger meets it."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from tests.running import Running
from tocsin.core.cli.client import ApiClient
from tocsin.core.cli.main import cli as commands

pytestmark = pytest.mark.slow

QUIET = "[sources.docker]\nenabled = false\n"
DISK = '[targets.disk.checks.disk]\nprobe = "disk"\npaths = ["/"]\nmin_free_percent = {}\n'


def cli(tmp_path: Path, config: str = QUIET) -> Running:
    tmp_path.mkdir(exist_ok=True, parents=True)
    return Running(tmp_path, config)


BROKEN = """\
interval = "30x"
[targets.postgres]
critical = "yes"
[targets.postgres.checks.tcp]
probe = "tcpp"
[targets.web.checks.tcp]
probe = "tcp"
host = "x"
this is not toml
port = 1
prot = 2
"""


def test_five_kinds_of_errors_are_reported_together_each_with_its_place(tmp_path: Path) -> None:
    """Syntax, unknown key, wrong type, unknown probe, bad duration: one run tells all, by line."""
    done = cli(tmp_path, BROKEN).run("config", "check")
    assert done.returncode == 2
    assert done.stdout == ""
    for line, words in (
        (1, "'30x' is not a duration"),
        (3, "expected true or false, got 'yes'"),
        (5, "no probe is called 'tcpp'; did you mean 'tcp'?"),
        (9, "not TOML"),
        (11, "there is no such option; did you mean 'port'?"),
    ):
        assert any(
            f"tocsin.toml:{line}: " in text and words in text for text in done.stderr.splitlines()
        ), (line, done.stderr)
    assert "5 problems" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_right_configuration_is_said_to_be(tmp_path: Path) -> None:
    """config check counts targets and checks; config show hides secrets."""
    config = QUIET + (
        '[targets.db.checks.q]\nprobe = "postgres-query"\ndsn = "postgresql://u:hunter2@h/d"\n'
    )
    tocsin = cli(tmp_path, config)
    assert "valid, 1 target, 1 check" in tocsin.run("config", "check").stdout
    shown = tocsin.run("config", "show").stdout
    assert "hunter2" not in shown
    assert json.loads(shown)["targets"]["db"]["checks"]["q"]["query"] == "SELECT 1"


@pytest.mark.parametrize(("limit", "code"), [(0, 0), (100, 2)])
def test_check_runs_now_and_exits_as_a_monitoring_plugin(
    tmp_path: Path, limit: int, code: int
) -> None:
    """``tocsin check`` needs no running tocsin; its exit status is 0, 1, 2 or 3."""
    config = QUIET + DISK.format(limit) + "degraded_free_percent = 0\nmin_inodes_free_percent = 0\n"
    tocsin = cli(tmp_path, config)
    done = tocsin.run("check")
    assert done.returncode == code, done.stderr
    assert "disk/disk" in done.stdout
    (seen,) = json.loads(tocsin.run("check", "--json", "disk").stdout)
    assert seen["metrics"]["disk_free_percent"] > 0
    assert tocsin.run("check", "nothing*").returncode == 3


def test_commands_without_a_running_tocsin_say_so(tmp_path: Path) -> None:
    """One line names the address and the remedy; exit status 1."""
    done = cli(tmp_path).run("status")
    assert done.returncode == 1
    assert "no token" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_status_logs_and_tokens_of_a_running_one(tmp_path: Path, database: str) -> None:
    """status lists targets, worst first, and its exit status tells; tokens come and go."""
    config = (
        QUIET + DISK.format(100) + '[targets.fine.checks.disk]\nprobe = "disk"\npaths = ["/"]\n'
    )
    config += "min_free_percent = 0\ndegraded_free_percent = 0\nmin_inodes_free_percent = 0\n"
    with Running(tmp_path, config, {"DATABASE_URL": database}) as running:
        running.until(
            lambda: running.get("/api/v1/status")["targets"] == {
                "up": 1, "degraded": 0, "down": 1, "unknown": 0}
        )  # fmt: skip
        done = running.run("status")
        assert done.returncode == 2
        assert done.stdout.index("disk") < done.stdout.index("fine")
        assert json.loads(running.run("status", "--json").stdout)["summary"]["checks"] == 2
        token = running.run("token", "create", "ci", "--role", "viewer", "--expires", "1d")
        plain = token.stdout.strip()
        assert plain.startswith("tocsin_")
        listed = running.run("token", "list").stdout
        assert "ci" in listed
        assert plain not in listed
        assert plain.encode() not in (running.data / "tokens.db").read_bytes()
        env = {"TOCSIN_TOKEN": plain}
        running.env |= env
        assert running.run("status").returncode == 2
        assert running.run("token", "revoke", "ci").returncode == 0
        refused = running.run("status")
        assert refused.returncode == 1
        assert "the token is revoked" in refused.stderr
        del running.env["TOCSIN_TOKEN"]
        doctor = running.run("doctor")
        assert "reports ok" in doctor.stdout
        assert running.run("logs", "nothing").stderr.startswith("tocsin: there is no target")


ASKING = """
import sys
from click.testing import CliRunner
from tocsin.core.cli.main import cli
for line in sys.stdin.read().splitlines():
    done = CliRunner().invoke(cli, line.split())
    loaded = {m for m in sys.modules if m.startswith(("tocsin_loud", "tocsin.plugins."))}
    loaded |= {"tocsin.core.app", "aiohttp", "asyncpg", "jinja2"} & {*sys.modules}
    print(done.exit_code, *sorted(loaded), line, sep=",")
"""
"""A process that runs a command for each line it reads, and says what has been imported by then."""


def loud(place: Path) -> dict[str, str]:
    """Install a plugin that adds the command ``shout``; what a command's environment is then."""
    info = place / "tocsin_loud-1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: tocsin-loud\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[tocsin]\nloud = tocsin_loud\n")
    (place / "tocsin_loud.py").write_text(
        "import click, tocsin\n@click.command()\ndef shout(): print('HEY')\n"
        "@tocsin.hookimpl\ndef tocsin_commands(): return [shout]\n"
    )
    return {"PYTHONPATH": str(place)}


def test_what_only_asks_imports_no_plugin(tmp_path: Path) -> None:
    """Help, and commands that only ask a running tocsin or look after tokens, import no plugin, and
    nothing of what is run; they do not wait for what a plugin does when it is imported."""
    lines = [
        "--help", "--version", "new-plugin -h", "token -h", "status -h", "config -h", "token list",
        "status", "status --json", "alerts", "alerts x", "ack x", "silence list",
        "silence add a=b --for 1h", "maintenance list", "logs x", "test-notification",
        "run --help",
    ]  # fmt: skip
    running = cli(tmp_path / "home")
    done = subprocess.run(
        [sys.executable, "-c", ASKING], input="\n".join(lines), capture_output=True, text=True,
        env={**running.env, **loud(tmp_path / "site"), "TOCSIN_TOKEN": "any",
             "TOCSIN_URL": "http://127.0.0.1:9"}, check=True,
    )  # fmt: skip
    *others, run = done.stdout.splitlines()
    assert others == [f"{int(n > 6)},{line}" for n, line in enumerate(lines[:-1])]
    assert run == "0,aiohttp,jinja2,tocsin.core.app,run --help"


def test_a_command_that_a_plugin_adds_is_found(tmp_path: Path) -> None:
    """It runs by its name; the help says where such commands are listed."""
    running = cli(tmp_path / "home")
    running.env |= loud(tmp_path / "site")
    assert running.run("shout").stdout == "HEY\n"
    assert "'tocsin plugins'" in running.run("--help").stdout
    assert "'tocsin plugins'" not in cli(tmp_path).run("--help").stdout
    assert "command shout" in running.run("plugins", "loud").stdout


def test_a_test_of_channels_may_take_longer_than_other_commands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A provider that hangs until its own timeout is told of as such, not as a tocsin that does not
    answer."""
    answer = {"items": [{"channel": "hook", "delivered": False, "answer": "no answer in 30 s"}]}
    asked = threading.Event()

    class Slow(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.wait(0.5)
            body = json.dumps(answer).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    monkeypatch.setattr("tocsin.core.cli.client.TIMEOUT", 0.1)
    monkeypatch.setenv("TOCSIN_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("TOCSIN_TOKEN", "any")
    monkeypatch.chdir(tmp_path)
    with ThreadingHTTPServer(("127.0.0.1", 0), Slow) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("TOCSIN_URL", f"http://127.0.0.1:{server.server_port}")
        done = CliRunner().invoke(commands, ["test-notification"])
        server.shutdown()
    assert (done.exit_code, done.output) == (1, "✖ hook: no answer in 30 s\n")


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1000\r\n\r\n",
        b"HTTP/1.0 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: ",
    ],
)
def test_an_answer_that_trickles_in_is_given_up(
    head: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Something else that listens at the address, and sends a byte now and then, holds a command no
    longer than its patience."""
    over = threading.Event()

    def trickle(listener: socket.socket) -> None:
        connected, _ = listener.accept()
        connected.sendall(head)
        with contextlib.suppress(OSError):
            while not over.wait(0.05):
                connected.sendall(b"x")

    monkeypatch.setattr("tocsin.core.cli.client.TIMEOUT", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=trickle, args=(listener,))
        thread.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        done = CliRunner().invoke(
            commands, ["status"], env={"TOCSIN_URL": url, "TOCSIN_TOKEN": "any"}
        )
        over.set()
        thread.join()
    assert done.exit_code == 1
    assert f"{url} did not give a valid answer of tocsin: no answer in time" in done.output


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("ftp://127.0.0.1", "ftp://127.0.0.1 is no address of tocsin; set TOCSIN_URL"),
        ("http://", "is no address of tocsin"),
        ("http://127.0.0.1:x", "is no address of tocsin"),
        ("http://[::1", "is no address of tocsin"),
        ("http://no.such.host", "no tocsin answers at http://no.such.host (no such name)"),
    ],
)
def test_an_address_of_no_use_is_one_clear_sentence(
    url: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever TOCSIN_URL says, the command ends with a sentence that has it."""

    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "no such name")

    monkeypatch.setattr("socket.getaddrinfo", unknown)
    env = {"TOCSIN_URL": url, "TOCSIN_TOKEN": "any"}
    done = CliRunner().invoke(commands, ["status"], env=env)
    assert done.exit_code == 1
    assert words in done.output
    assert len(done.output.splitlines()) == 1


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"", "did not give a valid answer"),
        (b"HTTP/1.1 200 OK\r\nContent-Ty", "the answer is incomplete"),
        (b"HTTP/1.1 200 OK\r\n\r\n", "the answer is incomplete"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{}", "did not give a valid answer"),
        (b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n", "did not give a valid answer"),
        (b"HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n", "HTTP 302"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "did not give a valid answer"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", None),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", None),
    ],
)
def test_a_change_is_done_only_if_the_whole_answer_says_so(
    answer: bytes, words: str | None
) -> None:
    """An answer that is cut off, leads elsewhere or is no answer of tocsin is no success."""

    def give(listener: socket.socket) -> None:
        connected, _ = listener.accept()
        connected.recv(65536)
        connected.sendall(answer)
        connected.close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=give, args=(listener,))
        thread.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        env = {"TOCSIN_URL": url, "TOCSIN_TOKEN": "any"}
        done = CliRunner().invoke(commands, ["maintenance", "end", "patching"], env=env)
        thread.join()
    assert done.exit_code == (0 if words is None else 1)
    assert words is None or words in done.output
    assert len(done.output.splitlines()) == 1


def test_a_token_is_never_quoted(tmp_path: Path) -> None:
    """One with a line break, such as of a file with two lines, is refused without its text."""
    env = {"TOCSIN_URL": "http://127.0.0.1:9", "TOCSIN_TOKEN": "abc\ndef-53cret"}
    done = CliRunner().invoke(commands, ["status"], env=env)
    assert done.exit_code == 1
    assert "check TOCSIN_TOKEN" in done.output
    assert "53cret" not in done.output


def test_what_is_piped_is_not_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no terminal is, no column is cut: the last words of a long message are there."""
    message = "no answer within 5 s " * 20 + "from db-primary"
    alert = {
        "id": "a" * 32, "severity": "critical", "alert_type": "health_check_failed",
        "container_name": "orders-and-invoices-of-all-shops", "state": "firing",
        "message": message, "created_at": "2026-01-01T00:00:00+00:00", "resolved_at": None,
        "downtime_seconds": None, "acknowledged_by": None,
    }  # fmt: skip
    target = {"name": "db", "status": "down", "message": message}
    counts = {"up": 0, "degraded": 0, "down": 1, "unknown": 0}
    answers = {"alerts/active": [alert], "targets": [target], "containers": []}

    def ask(self: ApiClient, method: str, path: str, *_: Any, **__: Any) -> Any:
        name = path.removeprefix("/api/v1/")
        return {"targets": counts} if name == "status" else {"items": answers[name]}

    monkeypatch.setattr(ApiClient, "ask", ask)
    monkeypatch.setenv("COLUMNS", "40")  # of a terminal that others look at
    env = {"TOCSIN_URL": "http://127.0.0.1:2", "TOCSIN_TOKEN": "any"}
    for name in ("alerts", "status"):
        done = CliRunner().invoke(commands, [name], env=env)
        assert message in done.output, done.output
        assert max(map(len, done.output.splitlines())) < 600


def test_wrong_use_is_one_clear_line(tmp_path: Path) -> None:
    """Unknown commands, options, names and files are told, without a traceback."""
    tocsin = cli(tmp_path)
    for arguments in (
        ("nonsense",), ("token", "create", "x", "--expires", "soon"), ("plugins", "nothing"),
        ("token", "revoke", "nobody"), ("new-plugin", "Bad Name"),
    ):  # fmt: skip
        done = tocsin.run(*arguments)
        assert done.returncode != 0
        assert "Traceback" not in done.stderr
        assert done.stderr
    tocsin.config.unlink()
    assert "--config names no file" in tocsin.run("config", "check").stderr


def test_the_plugin_list_is_readable_and_complete(tmp_path: Path) -> None:
    """One plugin's options are listed with type and default."""
    done = cli(tmp_path).run("plugins", "tcp")
    assert done.returncode == 0
    for words in ("host", "required", "duration", "certificate_warn_days", "14.0"):
        assert words in done.stdout
