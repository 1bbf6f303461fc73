"""The pack as a whole: what it registers, and what it says when tocsin itself lacks something."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from attrs import fields

from tocsin import Probe

PACK = Path(__file__).parents[1]

NAMES = {"dns", "imap", "ping", "smtp", "ssh-banner", "tls", "websocket"}

EXHAUSTED = """
import asyncio, json, os, resource, sys
from importlib.metadata import entry_points
from tocsin import Target

async def main(options):
    results = {}
    for point in entry_points(group="tocsin"):
        if point.name in options:
            probe = point.load().tocsin_probes()[point.name](**options[point.name])
            await probe.check(Target(name="t"))  # all that is imported late is there now
            resource.setrlimit(resource.RLIMIT_NOFILE, (64, 4096))
            kept = []
            try:
                while True:
                    kept.append(os.open("/dev/null", os.O_RDONLY))
            except OSError:
                pass
            try:
                result = await probe.check(Target(name="t"))
            finally:
                for one in kept:
                    os.close(one)
            results[point.name] = [result.status.value, result.message]
    print(json.dumps(results))

asyncio.run(main(json.loads(sys.argv[1])))
"""


def modules() -> dict[str, Callable[[], dict[str, type[Probe]]]]:
    """Return the hook of each entry point of the pack."""
    return {
        point.name: point.load().tocsin_probes
        for point in entry_points(group="tocsin")
        if point.module.startswith("tocsin_net.")
    }


def test_each_probe_is_a_plugin_of_its_own() -> None:
    """An entry point registers one probe, under its own name."""
    found = modules()
    assert found.keys() == NAMES
    for name, hook in found.items():
        assert hook().keys() == {name}
        assert issubclass(hook()[name], Probe)


@pytest.mark.parametrize("name", sorted(NAMES))
def test_every_option_is_documented(name: str) -> None:
    """Each option is in the class's docstring and in a table of the README."""
    probe = modules()[name]()[name]
    described = (probe.__doc__ or "") + (Probe.__doc__ or "")
    section = (PACK / "README.md").read_text().split(f"\n## {name}\n")[1].split("\n## ")[0]
    for field in fields(probe):
        assert f"        {field.name}: " in described, field.name
        if field.name not in ("interval", "timeout", "retries"):
            assert f"| `{field.name}` |" in section, field.name


@pytest.mark.parametrize("name", sorted(NAMES))
def test_every_metric_is_described(name: str) -> None:
    """What the README lists has help and a unit, and nothing else has."""
    row = re.search(rf"^\| `{name}` \|.*\|(.*)\|$", (PACK / "README.md").read_text(), re.MULTILINE)
    assert row is not None
    described = modules()[name]()[name].metrics
    assert set(re.findall(r"`(\w+)`", row[1])) == set(described)
    for metric, about in described.items():
        assert about.help.endswith(".")
        assert metric.endswith(about.unit)


def test_out_of_open_files_says_nothing_about_a_target() -> None:
    """Each probe is unknown, with the reason, and never down."""
    host = {"host": "127.0.0.1", "port": 1}
    options = {
        "dns": {"name": "a.test", "servers": ["127.0.0.1"], "port": 1, "timeout": 0.5},
        "imap": host, "smtp": host, "ssh-banner": host, "tls": host,
        "ping": {"host": "127.0.0.1", "count": 1},
        "websocket": {"url": "wss://127.0.0.1:1/"},
    }  # fmt: skip
    assert options.keys() == NAMES
    done = subprocess.run(
        [sys.executable, "-c", EXHAUSTED, json.dumps(options)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    for name, (status, message) in json.loads(done.stdout).items():
        if name == "ping" and "may not send pings" in message:
            continue  # of this user; the kernel looks at that first
        assert status == "unknown", (name, message)
        assert "out of open files" in message, (name, message)


def test_the_examples_of_the_readme_are_valid(tmp_path: Path) -> None:
    """All of them together are one configuration that tocsin accepts."""
    blocks = re.findall(r"```toml\n(.*?)```", (PACK / "README.md").read_text(), re.DOTALL)
    file = tmp_path / "tocsin.toml"
    file.write_text("\n".join(blocks))
    done = subprocess.run(
        [str(Path(sys.executable).with_name("tocsin")), "-c", str(file), "config", "check"],
        env={"PATH": "/usr/bin:/bin", "TOCSIN_DATA_DIR": str(tmp_path / "data"),
             "PRICES_TOKEN": "t0ken-of-prices", "MAIL_WATCH_PASSWORD": "pa55-of-watch"},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert {f'probe = "{name}"' in "".join(blocks) for name in NAMES} == {True}
