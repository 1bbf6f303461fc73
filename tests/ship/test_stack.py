"""compose.yml beside the trade system, seen from outside, and what outlives its container."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.ship.stack import MONITOR, ROOT, Stack
from tests.tradestack import NAMES, docker, stood_up

pytestmark = [pytest.mark.docker, pytest.mark.ship]

CONFIG = """
interval = "2s"
[rules.container_down]
for = "0s"
"""
ASKED = """
import http.client
for line in %r:
    method, path = line.split()
    connection = http.client.HTTPConnection("socket-proxy", 2375, timeout=5)
    connection.request(method, path)
    print(connection.getresponse().status)
"""


@pytest.fixture(scope="module")
def stack(images: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The stack of compose.yml with an empty .env, beside the trade system."""
    with stood_up():
        made = Stack("tocsin-ship", tmp_path_factory.mktemp("ship"), "compose.yml")
        (made.config / "tocsin.toml").write_text(CONFIG)
        try:
            made.up()
            made.token = made.command("token", "create", "ship", "--role", "admin").strip()
            yield made
        finally:
            made.down()


@pytest.fixture(scope="module")
def rung(stack: Stack) -> dict[str, Any]:
    """A container killed, its alert acknowledged, a silence made: what must outlive us."""
    stack.until(lambda: stack.containers()["streamlit"]["status"] == "up")
    docker("kill", "streamlit")
    alert = stack.until(lambda: next(iter(of(stack, "streamlit")), None))
    status, _ = stack.ask(f"/api/v1/alerts/{alert['id']}/acknowledge", "POST", {"comment": "mine"})
    assert status == 200
    body = {"matchers": ["target=pgadmin"], "duration": "2h", "comment": "being moved"}
    status, silence = stack.ask("/api/v1/silences", "POST", body)
    assert status == 200, silence
    return {"alert": alert, "silence": silence}


def of(stack: Stack, target: str) -> list[dict[str, Any]]:
    """The alerts of one target that fire because it is down."""
    return [
        alert
        for alert in stack.alerts()
        if (alert["alert_type"], alert["container_name"]) == ("container_down", target)
    ]


def seen(stack: Stack) -> dict[str, str]:
    """The status of each of the thirteen that tocsin knows."""
    return {name: c["status"] for name, c in stack.containers().items() if name in NAMES}


def test_with_an_empty_env_it_runs_and_says_what_is_not_configured(stack: Stack) -> None:
    """All parts are well, PostgreSQL included; the start names the variables that are missing."""
    stack.until(lambda: {p["status"] for p in stack.health()["components"].values()} == {"ok"})
    log = docker("logs", MONITOR)
    assert "channels none: no notifications are sent" in log
    assert "telegram (set TELEGRAM_BOT_TOKEN and TELEGRAM_CHAT_ID)" in log
    assert "email (set SMTP_HOST and ADMIN_EMAIL)" in log
    assert stack.ask("/api/v1/status")[0] == 200
    known, stack.token = stack.token, ""
    try:
        assert stack.ask("/api/v1/status")[0] == 401
    finally:
        stack.token = known


def test_all_thirteen_containers_are_seen(stack: Stack) -> None:
    """Through the Docker socket, by a user that is not root: each of them, and in order."""
    stack.until(lambda: len(seen(stack)) == 13 and set(seen(stack).values()) == {"up"})
    assert stack.containers()["certbot"]["reason"] == "completed"
    listed = stack.command("status", "--all", check=False)  # the host may have others, that fail
    assert all(name in listed for name in NAMES)


def test_nothing_of_tocsin_runs_as_root(stack: Stack) -> None:
    """Every process has our user and no capability, can gain none, and cannot write the image."""
    processes = [line.split() for line in docker("top", MONITOR, "-eo", "pid,uid").splitlines()]
    assert {uid for _, uid in processes[1:]} == {"10001"}
    status = dict(
        line.split(":", 1) for line in Path(f"/proc/{_pid()}/status").read_text().splitlines()
    )
    assert status["CapEff"].strip() == status["CapPrm"].strip() == "0" * 16
    assert status["NoNewPrivs"].strip() == "1"
    assert stack.command("--version").startswith("tocsin")
    code = "import os; print(os.access('/opt/tocsin', os.W_OK), os.path.exists('/usr/bin/pip'))"
    assert stack.python(code).split() == ["False", "False"]
    assert docker("inspect", "-f", "{{.Config.User}}", "tocsin:local").strip() == "tocsin"


def _pid() -> int:
    return int(docker("inspect", "-f", "{{.State.Pid}}", MONITOR))


def test_a_kill_is_seen_and_its_alert_is_on_disk(stack: Stack, rung: dict[str, Any]) -> None:
    """docker kill: down with its exit code; the alert stands in the journal in the data volume."""
    container = stack.containers()["streamlit"]
    assert (container["status"], container["exit_code"]) == ("down", 137)
    code = (
        "import sqlite3; db = sqlite3.connect('file:/var/lib/tocsin/journal.db?mode=ro', uri=True);"
        "print(db.execute(\"SELECT data FROM alerts WHERE rule = 'container_down' AND"
        " target = 'streamlit'\").fetchone()[0].decode())"
    )
    assert rung["alert"]["id"] in stack.python(code)


def test_history_lies_in_the_stacks_own_postgresql(stack: Stack) -> None:
    """Metrics of every running container, results and events are rows there."""
    query = "SELECT DISTINCT container_name FROM tocsin.container_metrics"
    stack.until(lambda: {*stack.sql(query).split(), "streamlit"} >= NAMES)
    assert stack.sql("SELECT count(*) > 0 FROM tocsin.check_results") == "t"
    networks = docker("inspect", "-f", "{{json .NetworkSettings.Networks}}", _database())
    assert list(json.loads(networks)) == ["none"]


def _database() -> str:
    return docker("ps", "-q", "--filter", "label=com.docker.compose.project=tocsin-ship",
                  "--filter", "label=com.docker.compose.service=database").strip()  # fmt: skip


def test_a_hangup_reads_the_configuration_again(stack: Stack) -> None:
    """docker compose kill -s HUP reaches tocsin, whatever stands before it as first process."""
    (stack.config / "tocsin.toml").write_text(CONFIG + '[actions]\nrestart = ["fastapi-dev"]\n')
    stack.compose("kill", "-s", "HUP", MONITOR)
    stack.until(
        lambda: stack.get("/api/v1/config")["config"]["actions"]["restart"] == ["fastapi-dev"]
    )


def test_docker_calls_both_healthy(stack: Stack) -> None:
    """The health checks, without curl, pass in both containers."""
    for container in (MONITOR, _database()):
        stack.until(partial(_is_healthy, container))


def _is_healthy(container: str) -> bool:
    return docker("inspect", "-f", "{{.State.Health.Status}}", container).strip() == "healthy"


def test_killed_and_made_anew_it_has_lost_nothing(stack: Stack, rung: dict[str, Any]) -> None:
    """kill -9, then another container on the same volumes, now never root: the same open alert,
    acknowledged, no second one; the silence, the token, the logs; history goes on."""
    count = "SELECT count(*) FROM tocsin.container_metrics"
    oldest = stack.sql("SELECT min(timestamp) FROM tocsin.container_metrics")
    rows, log = int(stack.sql(count)), _log(stack)
    admin = stack.python("print(open('/var/lib/tocsin/admin.token').read())")
    before = docker("inspect", "-f", "{{.Id}}", MONITOR)
    docker("kill", MONITOR)
    gid = str(Path("/var/run/docker.sock").stat().st_gid)
    stack.up("--force-recreate", "--no-deps", MONITOR, TOCSIN_USER="tocsin", DOCKER_GID=gid)
    assert docker("inspect", "-f", "{{.Id}}", MONITOR) != before
    assert docker("exec", MONITOR, "id", "-u").strip() == "10001"
    stack.until(lambda: len(seen(stack)) == 13)
    (alert,) = of(stack, "streamlit")
    assert alert["id"] == rung["alert"]["id"]
    assert (alert["acknowledged_by"], alert["created_at"]) == ("ship", rung["alert"]["created_at"])
    assert rung["silence"]["id"] in {s["id"] for s in stack.get("/api/v1/silences")["items"]}
    assert stack.python("print(open('/var/lib/tocsin/admin.token').read())") == admin
    assert _log(stack)[: len(log)] == log
    stack.until(lambda: int(stack.sql(count)) > rows)
    assert stack.sql("SELECT min(timestamp) FROM tocsin.container_metrics") == oldest


def _log(stack: Stack) -> list[str]:
    return stack.python("print(open('/var/log/tocsin/tocsin.log').read())").splitlines()[:3]


@pytest.fixture(scope="module")
def proxied(stack: Stack, rung: dict[str, Any]) -> Stack:
    """The same stack with compose.proxy.yml laid over it."""
    stack.files = ("compose.yml", "compose.proxy.yml")
    stack.up()
    return stack


def test_tocsin_sees_everything_without_the_socket(proxied: Stack) -> None:
    """No socket in the container, nor root; all thirteen are seen, and what happens to them:
    the alert of one that is started again ends."""
    code = "import os, stat; print(stat.S_ISSOCK(os.stat('/var/run/docker.sock').st_mode))"
    assert proxied.python(code).strip() == "False"
    assert docker("exec", MONITOR, "id", "-u").strip() == "10001"
    proxied.until(lambda: len(seen(proxied)) == 13 and seen(proxied)["streamlit"] == "down")
    docker("start", "streamlit")
    proxied.until(lambda: seen(proxied)["streamlit"] == "up" and not of(proxied, "streamlit"))
    assert proxied.get("/api/v1/containers/streamlit/logs?lines=5")["items"]


def test_what_is_not_listed_is_refused(proxied: Stack) -> None:
    """Making, stopping, removing, restarting, entering, images, secrets, and tricks of paths."""
    container = docker("inspect", "-f", "{{.Id}}", "fastapi-dev").strip()
    calls = [
        "POST /v1.41/containers/create",
        f"POST /v1.41/containers/{container}/restart",
        f"POST /v1.41/containers/{container}/stop",
        f"POST /v1.41/containers/{container}/json",
        f"POST /v1.41/containers/{container}/exec",
        f"DELETE /v1.41/containers/{container}",
        f"GET /v1.41/containers/{container}/archive?path=/etc",
        f"GET /v1.41/containers/{container}/export",
        f"GET /v1.41/containers/{container}/json/../../../images/json",
        f"GET /v1.41/containers/{container}%2F..%2F..%2Fimages/json",
        "GET /v1.41/containers/../images/json",
        "GET /v1.41/containers/json/../../secrets",
        "GET /v1.41/images/json",
        "GET /v1.41/volumes",
        "GET /v1.41/services",
        "POST /v1.41/services/web",
        "POST /v1.41/services/web/update",
        "GET /v1.41/secrets",
        "POST /v1.41/build",
        "GET //v1.41/images/json",
    ]
    answers = proxied.python(ASKED % calls).split()
    assert dict(zip(calls, answers, strict=True)) == dict.fromkeys(calls, "403")
    assert proxied.python(ASKED % ["GET /v1.41/containers/json"]).split() == ["200"]
    of_a_swarm = ["GET /v1.41/tasks", "GET /v1.41/services/web"]
    assert proxied.python(ASKED % of_a_swarm).split() == ["503", "503"]  # the engine has none
    status, problem = proxied.ask("/api/v1/containers/fastapi-dev/restart", "POST")
    assert (status, "does not let this through" in problem["detail"]) == (502, True), problem


def test_only_tocsin_reaches_the_proxy(proxied: Stack) -> None:
    """Its network leads nowhere and has two members."""
    network = json.loads(docker("network", "inspect", "tocsin-ship_socket"))[0]
    assert network["Internal"] is True
    names = {member["Name"] for member in network["Containers"].values()}
    assert names == {MONITOR, "tocsin-ship_socket-proxy_1"}


def test_restarts_and_exec_pass_where_they_are_allowed(proxied: Stack) -> None:
    """ALLOW_RESTART=1 and ALLOW_EXEC=1: both work through the proxy, the rest stays refused."""
    proxied.up(ALLOW_RESTART="1", ALLOW_EXEC="1")
    code = (
        "import docker; api = docker.APIClient('tcp://socket-proxy:2375', version='auto');"
        "made = api.exec_create('fastapi-dev', ['echo', 'inside']);"
        "print(api.exec_start(made['Id']).decode(), api.exec_inspect(made['Id'])['ExitCode'])"
    )
    assert proxied.python(code).split() == ["inside", "0"]
    before = docker("inspect", "-f", "{{.State.StartedAt}}", "fastapi-dev")

    def restarted() -> bool:
        return proxied.ask("/api/v1/containers/fastapi-dev/restart", "POST")[0] == 200

    proxied.until(restarted)
    assert docker("inspect", "-f", "{{.State.StartedAt}}", "fastapi-dev") != before
    assert proxied.python(ASKED % ["POST /v1.41/containers/create"]).split() == ["403"]


@pytest.mark.skipif(not (ROOT / "dashboard").is_dir(), reason="there is no dashboard yet")
def test_the_dashboard_has_a_container_of_its_own(proxied: Stack) -> None:
    """The profile "dashboard": it answers, is well by its health check, reaches the API, and has
    neither root, nor the socket, nor any data."""
    proxied.compose("--profile", "dashboard", "up", "-d", "--no-build", "dashboard")
    name = "tocsin-ship_dashboard_1"

    def answers() -> bool:
        url = f"http://127.0.0.1:{proxied.dashboard_port}/_stcore/health"
        with urllib.request.urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)

    proxied.until(answers)
    python = ("exec", name, "/opt/tocsin/bin/python")
    docker(*python, "-IS", "/opt/tocsin/healthy.py", "8501", "/_stcore/health")
    code = (
        "import urllib.request as u; print(u.urlopen('http://system-monitor:8095/health').status)"
    )
    assert docker(*python, "-c", code).strip() == "200"
    assert docker("exec", name, "id", "-u").strip() == "10001"
    assert json.loads(docker("inspect", "-f", "{{json .Mounts}}", name)) == []
