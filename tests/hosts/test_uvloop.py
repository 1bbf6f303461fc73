"""Hosts with uvloop, which ``tocsin run`` uses where it is installed."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
import uvloop

from tests.hosts.conftest import Core
from tocsin import Target
from tocsin.core.checks.polled_check import PolledCheck
from tocsin.core.plugin.sandbox import PluginFault


def test_hosts_work_with_uvloop(site: Path, tmp_path: Path) -> None:
    """Checks run, a host that dies is named, and the next one works."""

    async def main() -> None:
        core = Core(site, tmp_path)
        core.load("""
            @frozen(kw_only=True)
            class Odd(Probe):
                async def check(self, target):
                    if target.name == "bad": os._exit(3)
                    return Result.up(str(os.getpid()))
            @hookimpl
            def tocsin_probes(): return {"odd": Odd}
        """)
        check = PolledCheck(core.make("probe", "odd"), core.context())
        try:
            first, _ = await check.look(Target(name="good"))
            with pytest.raises(PluginFault, match="exit code 3"):
                await check.look(Target(name="bad"))
            async with asyncio.timeout(10):
                while True:
                    try:
                        second, _ = await check.look(Target(name="good"))
                        break
                    except PluginFault:
                        await asyncio.sleep(0.1)
            assert second.message != first.message
        finally:
            await core.isolation.stop()

    uvloop.run(main())
