"""Why a container is as it is, by what engines say: Docker, and Podman, which says less."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from tocsin import Reason, Result, Status
from tocsin.plugins.probes.docker_health import stats
from tocsin.plugins.probes.docker_health.containers import Known
from tocsin.plugins.probes.docker_health.facts import container_of, health_detail
from tocsin.plugins.probes.docker_health.reasons import LOOP_WINDOW, result_of
from tocsin.plugins.probes.docker_health.reconciler import Reconciler

NEVER = "0001-01-01T00:00:00Z"


def running(**config: Any) -> Known:
    """A container whose start was witnessed."""
    document = {
        "Id": f"{1:064x}", "Name": "/web", "Config": config,
        "State": {"Status": "running", "StartedAt": NEVER},
    }  # fmt: skip
    known = Known("1", document)
    known.started()
    return known


def dies(known: Known, code: int, *, flag: bool = False, later: float = 0.0) -> None:
    """It ends, ``later`` seconds from now; ``flag``: the engine's OOMKilled."""
    known.ended(time.time() + later, code)
    known.document["State"] = {"Status": "exited", "ExitCode": code, "OOMKilled": flag}


def result(known: Known) -> Result:
    heard = known.heard()
    return result_of(container_of(known.document, heard), heard)


def reason(known: Known) -> Reason:
    facts = result(known).container
    assert facts is not None
    return facts.reason


@pytest.mark.parametrize(
    ("code", "expected", "words"),
    [
        (0, Reason.COMPLETED, "completed, exit code 0"),
        (1, Reason.CRASHED, "crashed with exit code 1; a process in it had been killed: "
                            "out of memory"),
        (137, Reason.OOM_KILLED, "killed: out of memory, exit code 137"),
    ],
)  # fmt: skip
def test_who_was_killed_for_memory_did_not_exit_by_itself(
    code: int, expected: Reason, words: str
) -> None:
    """The engine's flag, and its event, are of any process in the container."""
    for event in (False, True):
        known = running()
        if event:
            known.ran_out_of_memory(time.time())
        dies(known, code, flag=True)
        assert (reason(known), result(known).message) == (expected, words)


@pytest.mark.parametrize(("later", "expected"), [(2, Reason.OOM_KILLED), (60, Reason.CRASHED)])
def test_a_process_that_was_killed_long_before_ends_nothing(later: float, expected: Reason) -> None:
    """The flag is still there when something else kills the container, which it outlived."""
    known = running()
    known.ran_out_of_memory(time.time())
    dies(known, 137, flag=True, later=later)
    assert reason(known) is expected


def test_an_event_that_comes_after_the_end_counts() -> None:
    """An engine may tell of the two in either order."""
    known = running()
    dies(known, 137)
    known.ran_out_of_memory(time.time())
    assert reason(known) is Reason.OOM_KILLED


def test_processes_killed_in_a_container_that_goes_on_are_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is degraded, with their number, until none was killed for a while; a start ends it."""
    known = running()
    assert (result(known).status, known.heard().ooms) == (Status.UP, None)
    known.ran_out_of_memory(time.time())
    assert "a process in it was killed: out of memory" in result(known).message
    known.ran_out_of_memory(time.time())
    assert result(known).status is Status.DEGRADED
    assert "2 processes in it were killed: out of memory" in result(known).message
    later = time.time() + LOOP_WINDOW + 1
    monkeypatch.setattr(time, "time", lambda: later)
    assert (result(known).status, known.heard().ooms) == (Status.UP, 0)
    known.started()
    assert known.heard().ooms is None


@pytest.mark.parametrize("first", ["stop", "die"])
@pytest.mark.parametrize("code", [0, 1, 137, 143])
def test_a_stop_without_a_kill_is_somebody_s_doing(first: str, code: int) -> None:
    """Podman tells of a stop, before or after the end, and of no signal: no crash, and no part of a
    restart loop."""
    known = running()
    if first == "stop":
        known.stopped(time.time())
    dies(known, code)
    if first == "die":
        known.stopped(time.time())
    assert (reason(known), known.heard().restarts) == (Reason.STOPPED, 0)
    assert result(known).message == f"stopped by a person, exit code {code}"


def test_a_stop_between_two_tries_is_somebody_s_doing() -> None:
    """The engine waits up to a minute before it starts a container again, and tells of no signal:
    the stop alone says who did it."""
    known = running()
    dies(known, 1, later=-40)
    known.document["State"]["Status"] = "restarting"
    known.stopped(time.time())
    known.document["State"]["Status"] = "exited"
    assert reason(known) is Reason.STOPPED


@pytest.mark.parametrize(("age", "looping"), [(60, True), (60 * 86400, False)])
def test_restarts_of_a_whole_life_are_no_loop(age: float, looping: bool) -> None:
    """What the engine counts since a container was made says something about a young one alone."""
    now = datetime.now(UTC)
    known = running()
    known.blind = True
    known.document |= {
        "RestartCount": 4, "Created": (now - timedelta(seconds=age)).isoformat(),
        "State": {"Status": "running", "StartedAt": (now - timedelta(seconds=3)).isoformat()},
    }  # fmt: skip
    assert (reason(known) is Reason.RESTARTING) is looping


@pytest.mark.parametrize(
    ("signal", "code", "expected"),
    [
        ("", 137, Reason.STOPPED), ("", 0, Reason.STOPPED), ("SIGTERM", 143, Reason.STOPPED),
        ("KILL", 137, Reason.STOPPED), ("10", 138, Reason.STOPPED), ("1", 129, Reason.STOPPED),
        ("1", 1, Reason.CRASHED), ("SIGHUP", 3, Reason.CRASHED), ("odd", 3, Reason.CRASHED),
    ],
)  # fmt: skip
def test_a_kill_that_ends_a_container_is_somebody_s_doing(
    signal: str, code: int, expected: Reason
) -> None:
    """However the signal is named, if it is, and whatever it is; one that ends nothing is not
    blamed for an end by itself."""
    known = running()
    known.killed(signal)
    dies(known, code)
    assert reason(known) is expected


def test_a_stop_signal_of_one_s_own_is_a_stop() -> None:
    """A web server that stops by SIGWINCH has not completed, or crashed."""
    for code in (0, 1):
        known = running(StopSignal="SIGWINCH")
        known.killed("28")
        dies(known, code)
        assert reason(known) is Reason.STOPPED


def test_a_stop_of_what_had_crashed_before_is_no_explanation() -> None:
    """It comes long after the end."""
    known = running()
    dies(known, 1, later=-60)
    known.stopped(time.time())
    assert reason(known) is Reason.CRASHED


@pytest.mark.parametrize(("count", "expected"), [(7, Reason.RESTARTING), (1, Reason.RUNNING)])
def test_a_loop_is_seen_at_a_start(count: int, expected: Reason) -> None:
    """A container that nobody watched, and that the engine has just restarted, not for the first
    time, has not come back to stay; a start of tocsin ends no alert about it."""
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    state = {"Status": "running", "StartedAt": at}
    document = {"Id": "1", "Name": "/web", "Created": at, "RestartCount": count, "State": state}
    assert reason(Known("1", document)) is expected


CURL = """  % Total    % Received % Xferd  Average Speed   Time    Time     Time  Current
                                 Dload  Upload   Total   Spent    Left  Speed
\r  0     0    0     0    0     0      0      0 --:--:-- --:--:-- --:--:--     0\r  0     0
curl: (22) The requested URL returned error: 503
"""
PYTHON = """Traceback (most recent call last):
  File "client.py", line 1348, in do_open
    h.request(req.get_method(), req.selector, req.data, headers)
ConnectionRefusedError: [Errno 111] Connection refused

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "<string>", line 1, in <module>
urllib.error.URLError: <urlopen error [Errno 111] Connection refused>
"""
NODE = """node:internal/process/promises:288
            triggerUncaughtException(err, true /* fromPromise */);
            ^

Error: connect ECONNREFUSED 127.0.0.1:3000
    at TCPConnectWrap.afterConnect [as oncomplete] (node:net:1495:16) {
  code: 'ECONNREFUSED',
}

Node.js v18.16.0
"""


@pytest.mark.parametrize(
    ("output", "line"),
    [
        (CURL, "curl: (22) The requested URL returned error: 503"),
        (PYTHON, "urllib.error.URLError: <urlopen error [Errno 111] Connection refused>"),
        (NODE, "Error: connect ECONNREFUSED 127.0.0.1:3000"),
        ("Connecting to localhost (127.0.0.1:80)\nwget: can't connect to remote host: refused\n",
         "wget: can't connect to remote host: refused"),
        ("\x1b[1;31mFAIL\x1b[0m: the queue \x1b]0;t\x07is stuck\n", "FAIL: the queue is stuck"),
        ("checking db... ok\nchecking cache... FAILED\nsee the log\n", "checking cache... FAILED"),
        ("HTTP/1.1 503 Service Unavailable\nServer: nginx\n", "HTTP/1.1 503 Service Unavailable"),
        ("panic: out of range\n\ngoroutine 1 [running]:\nexit status 2\n", "panic: out of range"),
        ("/tmp:5432 - no response", "/tmp:5432 - no response"), ("one\ntwo", "one"),
        ("200\n", "200"),
        ("\x1b[31m\n \n", "exit code 7"), ("", "exit code 7"),
    ],
)  # fmt: skip
def test_why_it_is_unhealthy_is_the_line_that_says_it(output: str, line: str) -> None:
    """Not the first one of a progress table or a stack, and without colours."""
    log = [{"Output": "old", "ExitCode": 0}, {"Output": output, "ExitCode": 7}]
    assert health_detail({"State": {"Health": {"Log": log}}}) == line


MEMORY = {"usage": 50, "limit": 100, "stats": {"inactive_file": 10}}
CPU = {"cpu_usage": {"total_usage": 2_000_000_000}}
NETWORKS = {"eth0": {"rx_bytes": 3, "tx_bytes": 4}}


@pytest.mark.parametrize("lacking", ["memory_stats", "cpu_stats", "networks"])
def test_a_figure_that_is_missing_costs_no_other(lacking: str) -> None:
    """Without the memory controller CPU and network are told, and so on."""
    document: dict[str, Mapping[str, Any]] = {
        "memory_stats": MEMORY, "cpu_stats": CPU, "networks": NETWORKS, lacking: {},
    }  # fmt: skip
    first, second = stats.from_api(document), stats.from_api(document)
    assert first is not None
    assert second is not None
    used = stats.usage(first, second)
    found = {
        "memory_stats": (used.memory_bytes, used.memory_limit_bytes, used.memory_percent),
        "cpu_stats": (used.cpu_percent,), "networks": (used.rx_bytes, used.tx_bytes),
    }  # fmt: skip
    assert found.pop(lacking) in ((None, None, None), (None,), (None, None))
    expected = {"memory_stats": (40, 100, 40.0), "cpu_stats": (0.0,), "networks": (3, 4)}
    assert found == {name: expected[name] for name in found}


def test_statistics_of_what_has_ended_are_none() -> None:
    """An engine gives zeros for it."""
    ended = {"cpu_stats": {"cpu_usage": {"total_usage": 0}}, "memory_stats": {}}
    assert stats.from_api(ended) is None
    assert stats.from_api({}) is None


@pytest.mark.parametrize(
    ("kinds", "code", "flag", "expected"),
    [
        (("stop", "die"), 0, False, Reason.STOPPED), (("die", "stop"), 143, False, Reason.STOPPED),
        (("stop", "die"), 143, False, Reason.STOPPED), (("die", "oom"), 137, True,
                                                        Reason.OOM_KILLED),
        (("oom", "die"), 137, True, Reason.OOM_KILLED), (("die",), 1, False, Reason.CRASHED),
    ],
)  # fmt: skip
async def test_an_end_that_nobody_saw_is_looked_up(
    kinds: tuple[str, ...], code: int, flag: bool, expected: Reason
) -> None:
    """What the engine still remembers of it says why, in whichever order it tells."""
    ended = time.time() - 60
    known = running()
    known.blind = True
    known.document["State"] = {
        "Status": "exited", "ExitCode": code, "OOMKilled": flag,
        "FinishedAt": datetime.fromtimestamp(ended, UTC).isoformat(),
    }  # fmt: skip

    async def past(*_: object, **__: object) -> list[object]:
        return [
            {"Type": "container", "Action": kind, "Actor": {"ID": "1", "Attributes": {}},
             "time": int(ended), "timeNano": int(ended * 1e9) + n}
            for n, kind in enumerate(kinds)
        ]  # fmt: skip

    engine: Any = SimpleNamespace(_engine=SimpleNamespace(past=past))
    slot: Any = SimpleNamespace(current=known)
    await Reconciler._look_back(engine, slot)
    assert reason(known) is expected


@pytest.mark.parametrize(
    ("start", "listening", "is_old"),
    [
        (100.087, 100.0, True),  # told again by a connection that began in the same second
        (99.0, 100.0, True), (60.0, 100.0, True), (60.0, 50.0, False), (100.4, 100.0, False),
        (3700.0, 100.0, False),
    ],
)  # fmt: skip
def test_a_start_that_an_end_has_followed_is_no_news(
    start: float, listening: float, is_old: bool
) -> None:
    """What was witnessed of the end stays: a start that is repeated undoes nothing. One that is far
    older than the end, while somebody listened, is of a clock that was set back."""
    known = Known("1" * 64, {"State": {"Status": "running"}})
    known.died(100.3)
    assert known.has_ended_since(start, listening) is is_old
