"""Plugins of strangers, pip-installed from folders of their own: a good one and hostile ones."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import pytest

from tests.running import Running

PYPROJECT = """
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"
[project]
name = "tocsin-{name}"
version = "1.2.3"
[project.entry-points.tocsin]
{name} = "tocsin_{name}"
[tool.setuptools]
py-modules = ["tocsin_{name}"]
"""

pytestmark = pytest.mark.slow
PROBE = """
from attrs import frozen
from tocsin import Probe, Result, Target, hookimpl

@frozen(kw_only=True)
class Mine(Probe):
    \"\"\"Say hello.\"\"\"
    greeting: str = "hello"
    async def check(self, target: Target) -> Result:
        {body}

@hookimpl
def tocsin_probes({arguments}):
    {hook}
    return {{"{name}": Mine}}
"""


def probe(name: str, body: str = "", arguments: str = "", hook: str = "") -> str:
    body = body or 'return Result.up(self.greeting, metrics={"answer": 42})'
    return PROBE.format(name=name, body=body, arguments=arguments, hook=hook or "pass")


HOSTILE = {
    "noimport": "import this_is_nowhere\n",
    "raising": probe("raising", hook='raise RuntimeError("not today")'),
    "badargument": probe("badargument", arguments="surprise"),
    "exiting": probe("exiting", body="import sys; sys.exit(3)"),
    "hanging": probe("hanging", body="import asyncio; await asyncio.sleep(3600)"),
    "blocking": probe("blocking", body="import time; time.sleep(3600)"),
}


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which the good plugin and the hostile ones are pip-installed."""
    root = tmp_path_factory.mktemp("strangers")
    folders = []
    for name, source in {"greeter": probe("greeter"), **HOSTILE}.items():
        folder = root / name
        folder.mkdir()
        (folder / "pyproject.toml").write_text(PYPROJECT.format(name=name))
        (folder / f"tocsin_{name}.py").write_text(source)
        folders.append(str(folder))
    site = root / "site"
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation",
         "--no-index", "--target", str(site), *folders],
        check=True, timeout=120, env={**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"},
    )  # fmt: skip
    return site


CONFIG = dedent(
    """
    interval = "1s"
    [sources.docker]
    enabled = false
    """
) + "\n".join(
    f'[targets.t-{name}.checks.{name}]\nprobe = "{name}"\ntimeout = "1s"\n'
    for name in ("greeter", *HOSTILE)
)


@pytest.fixture(scope="module")
def running(
    installed: Path, tmp_path_factory: pytest.TempPathFactory, postgres: str
) -> Iterator[Running]:
    directory = tmp_path_factory.mktemp("run")
    env = {"PYTHONPATH": str(installed), "DATABASE_URL": postgres}
    with Running(directory, CONFIG, env) as running:
        yield running


def test_a_plugin_of_fifteen_lines_is_listed_and_runs(running: Running) -> None:
    """A stranger's pip-installed probe shows in ``tocsin plugins`` and its checks run."""
    assert len(probe("greeter").strip().splitlines()) <= 15
    done = running.run("plugins", "--json")
    import json

    listed = {item["name"]: item for item in json.loads(done.stdout)}
    assert listed["greeter"]["distribution"] == "tocsin-greeter"
    assert (listed["greeter"]["version"], listed["greeter"]["status"]) == ("1.2.3", "ok")
    assert listed["greeter"]["provides"][0]["summary"] == "Say hello."
    running.until(lambda: running.get("/api/v1/targets/t-greeter")["target"]["status"] == "up")
    (check,) = running.get("/api/v1/targets/t-greeter")["target"]["checks"]
    assert (check["message"], check["metrics"]) == ("hello", {"answer": 42})


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("noimport", "No module named 'this_is_nowhere'"),
        ("raising", "not today"),
        ("badargument", "surprise"),
        ("exiting", "called sys.exit(3)"),
        ("hanging", "did not end within its timeout of 1 s"),
        ("blocking", "blocked its event loop"),
    ],
)
def test_each_hostile_plugin_is_named_with_its_reason(
    running: Running, name: str, reason: str
) -> None:
    """Import error, raising hook, unknown argument, ``sys.exit``, a hang and a blocked event loop
    each mark that plugin failed, with the reason, in the API and in ``/health``."""

    def failed() -> bool:
        plugins = running.get("/api/v1/plugins?limit=100")["items"]
        found = next(item for item in plugins if item["name"] == name)
        return found["status"] == "failed" and reason in found["reason"]

    running.until(failed)
    assert name in running.get("/health")["components"]["plugins"]["message"]


def test_every_other_check_stays_on_time(running: Running) -> None:
    """Beside all of them the good plugin's check keeps its rhythm: no run of it is skipped."""

    def check() -> dict[str, int]:
        (found,) = running.get("/api/v1/targets/t-greeter")["target"]["checks"]
        return dict(found)

    before = check()["runs"]
    running.until(lambda: check()["runs"] >= before + 5)
    assert check()["skipped"] == 0
    for name in HOSTILE:
        target = running.get(f"/api/v1/targets/t-{name}")["target"]
        assert target["status"] in ("unknown", "down")


def test_no_external_keeps_strangers_out(running: Running) -> None:
    """With ``--no-external`` no stranger's code is loaded."""
    done = running.run("--no-external", "plugins", "--json")
    import json

    listed = {item["name"]: item["status"] for item in json.loads(done.stdout)}
    assert {listed[name] for name in ("greeter", *HOSTILE)} == {"disabled"}
    assert listed["http"] == "ok"


def test_ctrl_c_stops_it_though_a_plugin_blocks(running: Running) -> None:
    """The hanging thread of a hostile plugin does not keep tocsin from stopping in order."""
    assert running.stop() == 0
