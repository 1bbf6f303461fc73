"""Plugins in a host that provide a history, which cannot be used there."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from tests.hosts.conftest import Core
from tocsin.core.cli.context import Context
from tocsin.core.cli.main import cli

SOURCE = """
    from tocsin.history import HistoryStore
    @frozen(kw_only=True)
    class Past(HistoryStore):
        '''Keep everything in a file.'''
        def place(self): return "here"
        async def open(self, context): raise OSError
        async def open_reader(self, context, hold): raise OSError
    @frozen(kw_only=True)
    class Mine(Probe):
        '''Look at it.'''
        async def check(self, target): return Result.up()
    @hookimpl
    def tocsin_histories(): return {"past": Past}
    @hookimpl
    def tocsin_probes(): return {"mine": Mine}
"""

REMARK = (
    "provides the history 'past', which runs in tocsin's own process: to use it, name the plugin "
    "in [plugins] inline"
)


async def test_a_history_that_is_only_installed_is_no_fault(
    core: Core, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The plugin is ok, with a remark where it is listed, and its other parts can be used."""
    core.load(SOURCE)
    record = core.record()
    assert (record.status, record.reason, record.kinds) == ("ok", None, ("probe", "history"))
    assert record.remarks == (REMARK,)
    assert (list(core.manager.histories), core.manager.hosted_histories) == (
        [],
        {"past": "strange"},
    )
    assert "mine" in core.manager.probes
    monkeypatch.setattr(Context, "plugins", lambda _, **__: core.manager)
    done = CliRunner().invoke(cli, ["plugins"])
    assert done.exit_code == 0
    assert f"Look at it.; Keep everything in a file.; {REMARK}" in " ".join(done.output.split())


async def test_a_history_that_is_inline_is_provided(core: Core) -> None:
    """As [plugins] inline says."""
    core.load(SOURCE, inline=["strange"])
    assert (core.record().status, core.record().remarks) == ("ok", ())
    assert list(core.manager.histories) == ["past"]
