"""What plugins in hosts do while tocsin stops."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.hosts.installed import install
from tests.running import Running

pytestmark = pytest.mark.slow

SOURCE = """
    @frozen(kw_only=True)
    class Odd(Probe):
        async def check(self, target):
            if target.name == "slow": await asyncio.sleep(3600)
            return Result.up("fine")
    @frozen(kw_only=True)
    class Late(Rule):
        def evaluate(self, history, now):
            time.sleep(0.2)
            return Verdict.clear()
    @hookimpl
    def tocsin_probes(): return {"odd": Odd}
    @hookimpl
    def tocsin_rules(): return {"late": Late}
"""

BAD = """
    @frozen(kw_only=True)
    class Bad(Probe):
        async def check(self, target): raise RuntimeError("no")
    @hookimpl
    def tocsin_probes(): return {"bad": Bad}
"""

CONFIG = """
[sources.docker]
enabled = false
[targets.bad.checks.bad]
probe = "bad"
interval = "1s"
[targets.slow.checks.odd]
probe = "odd"
interval = "1s"
timeout = "60s"
[targets.good.checks.odd]
probe = "odd"
interval = "1s"
[rules.late]
rule = "late"
"""


def test_no_plugin_fails_or_recovers_because_tocsin_stops(tmp_path: Path) -> None:
    """Nobody is notified of what is no fault of a plugin, nor of a recovery that is none."""
    site = tmp_path / "site"
    site.mkdir()
    install(site, SOURCE)
    install(site, BAD, distribution="tocsin-bad")
    paths = f"{site}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    with Running(tmp_path, CONFIG, {"PYTHONPATH": paths}) as running:
        running.until(lambda: "a plugin failed" in running.output())
        running.until(lambda: '"fired", "rule": "plugin_failed"' in running.output())
        assert running.stop() == 0
        _, _, after = running.output().partition("\nstopping\n")
        assert "plugin" not in after
        assert running.output().count('"rule": "plugin_failed"') < 4
