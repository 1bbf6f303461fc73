"""Open files: the limit, and what is kept back."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from typing import Any

import pytest

from tests.core.test_scheduler import Recorder, play
from tocsin.core.checks.punctuality import open_files
from tocsin.core.checks.scheduler import Scheduler
from tocsin.core.contracts.model import Health
from tocsin.core.runtime import descriptors
from tocsin.testing import SettableClock


def in_child(program: str, soft: int, hard: int) -> Any:
    """What a program prints as JSON in a process with these limits."""
    limits = f"import resource; resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}))\n"
    done = subprocess.run(
        [sys.executable, "-c", limits + program], capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


@pytest.mark.parametrize(("soft", "hard", "limit"), [(256, 4096, 4096), (1024, 1024, 1024)])
def test_the_soft_limit_is_raised(soft: int, hard: int, limit: int) -> None:
    """As far as the hard limit allows, and only while tocsin runs."""
    program = (
        "import json, resource\n"
        "from tocsin.core.runtime import descriptors\n"
        "with descriptors.raised_limit():\n"
        "    raised = [descriptors.limit(), resource.getrlimit(resource.RLIMIT_NOFILE)[0]]\n"
        "print(json.dumps([*raised, descriptors.limit()]))"
    )
    assert in_child(program, soft, hard) == [limit, limit, soft]


def test_programs_have_the_limit_that_tocsin_was_started_with() -> None:
    """A check program that uses ``select`` does not inherit the raised limit."""
    program = (
        "import asyncio, json\n"
        "from tocsin import Target\n"
        "from tocsin.core.runtime import descriptors\n"
        "from tocsin.plugins.probes.backup_script import BackupScriptProbe\n"
        'command = ("/bin/sh", "-c", "sleep 0.5; ulimit -Sn")\n'
        "with descriptors.raised_limit():\n"
        '    result = asyncio.run(BackupScriptProbe(command=command).check(Target(name="t")))\n'
        "print(json.dumps(result.message))"
    )
    assert in_child(program, 300, 4096) == "300"


async def test_checks_wait_before_the_reserve_is_touched(
    clock: SettableClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where too few descriptors are left checks wait, the API accepts for longer, health says so;
    once there are some again, the checks run."""
    monkeypatch.setattr(descriptors, "FRESH", -1.0)
    free = descriptors.RESERVE + descriptors.ROOM
    monkeypatch.setattr(descriptors, "limit", lambda: 10_000)
    monkeypatch.setattr(descriptors, "count", lambda: 10_000 - free)
    scheduler, recorder = Scheduler(clock, room=descriptors.room_for_checks), Recorder(clock)
    scheduler.put("t/c", 10, recorder.of("t/c"))
    await play(scheduler, clock, 30)
    assert not recorder.runs
    assert scheduler.stats().waiting == 1
    assert descriptors.room_for_api()
    health = open_files()
    assert health.status is Health.DEGRADED
    assert f"{free} of 10000 are left" in health.message
    free = descriptors.RESERVE
    assert not descriptors.room_for_api()
    free = 1000
    await play(scheduler, clock, 1)
    assert recorder.runs == {"t/c": 1}
    assert open_files().status is Health.OK
    await asyncio.sleep(0)


def test_a_low_limit_is_shared_out_too() -> None:
    """With 256 open files some checks run, and a part is kept back all the same."""
    program = (
        "import json\n"
        "from tocsin.core.runtime import descriptors as d\n"
        "print(json.dumps([d.checks_at_once(1000), d.room_for_checks() > 10, d.room_for_api()]))"
    )
    at_once, *room = in_child(program, 256, 256)
    assert 10 <= at_once <= 40
    assert room == [True, True]
