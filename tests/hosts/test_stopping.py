"""What plugins in hosts do while tocsin stops."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.hosts.installed import install
from tests.running import Running, free_port

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


CLOSING = """
    def note(what):
        with open(os.environ["HOME"] + "/seen", "a") as file: file.write(what + chr(10))
    class Kept:
        def __init__(self, kind):
            self.kind, self.is_used = kind, False
        def use(self):
            if not self.is_used: note("used")
            self.is_used = True
        async def check(self, target):
            self.use()
            return Result.up("fine")
        async def changed(self, change): self.use()
        async def review(self, request): self.use()
        async def send(self, message):
            self.use()
            return Receipt()
        async def run(self, name, interval, sink):
            self.use()
            sink.synced([])
            try: await asyncio.sleep(3600)
            finally: note("run of " + self.kind)
        async def close(self): note(self.kind)
    class ProbeKept(Kept, ProbeRuntime): pass
    class ObserverKept(Kept, ObserverRuntime): pass
    class ReviewerKept(Kept, ReviewerRuntime): pass
    class NotifierKept(Kept, NotifierRuntime): pass
    class SourceKept(Kept, SourceRuntime): pass
    @frozen(kw_only=True)
    class P(Probe):
        async def open(self, context): return ProbeKept("probe")
    @frozen(kw_only=True)
    class O(Observer):
        async def open(self, context): return ObserverKept("observer")
    @frozen(kw_only=True)
    class R(Reviewer):
        section: ClassVar[str] = "strange"
        async def open(self, context): return ReviewerKept("reviewer")
    @frozen(kw_only=True)
    class N(Notifier):
        async def open(self, context): return NotifierKept("notifier")
    @frozen(kw_only=True)
    class S(Source):
        async def open(self, context): return SourceKept("source")
"""

HOOKS = {
    "probe": "def tocsin_probes(): return {'strange': P}",
    "observer": "def tocsin_observers(): return {'strange': O}",
    "reviewer": "def tocsin_reviewers(): return {'strange': R}",
    "notifier": "def tocsin_notifiers(): return {'strange': N}",
    "source": "def tocsin_sources(): return {'strange': S}",
}

TABLES = {
    "probe": '[targets.web.checks.strange]\nprobe = "strange"\ninterval = "1s"\n',
    "observer": "",
    "reviewer": "[strange]\n",
    "notifier": '[channels.strange]\nnotifier = "strange"\n',
    "source": '[sources.strange]\nprobe = "strange"\n',
}


BAD_TARGET = """
[sources.docker]
enabled = false
[rules.health_check_failed]
failures = 1
[targets.bad.checks.tcp]
probe = "tcp"
host = "127.0.0.1"
port = {}
interval = "1s"
retries = 0
"""
"""A target that is down, so that there is a change to review and to observe."""


@pytest.mark.parametrize("kind", HOOKS)
def test_every_runtime_is_closed_when_tocsin_stops(tmp_path: Path, kind: str) -> None:
    """Also that of a distribution that has no channel; a source is closed after its run."""
    site = tmp_path / "site"
    site.mkdir()
    source = f"    from typing import ClassVar\n{CLOSING}    @hookimpl\n    {HOOKS[kind]}\n"
    install(site, source)
    paths = f"{site}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    text = BAD_TARGET.format(free_port()) + TABLES[kind]
    seen = tmp_path / "seen"
    with Running(tmp_path, text, {"PYTHONPATH": paths, "HOME": str(tmp_path)}) as running:
        running.until(seen.exists)
        assert running.stop() == 0
    before = ["used", "run of source"] if kind == "source" else ["used"]
    assert seen.read_text().split("\n") == [*before, kind, ""]
