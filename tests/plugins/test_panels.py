"""Panels that plugins declare: what they are about, and what is refused."""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any, ClassVar, cast

import pytest
from attrs import evolve, frozen

from tocsin import Metric, Panel, PanelChart, PanelCurve, PanelFact, Probe, Result, Target, hookimpl
from tocsin.core.config.core_settings import PluginSettings
from tocsin.core.http.admin import plugin_view
from tocsin.core.plugin.manager import PluginManager

Manager = Callable[..., PluginManager]

CURVE = PanelCurve(metric="queue_length")
CHART = PanelChart(title="Queue", curves=(CURVE,))
PANEL = Panel(name="queue", title="The queue", charts=(CHART,))


@frozen(kw_only=True)
class Queue(Probe):
    """Watch a queue."""

    async def check(self, target: Target) -> Result:
        return Result.up()


def module_of(panels: object, *, probe: bool = True) -> types.ModuleType:
    """A plugin with these panels."""
    module = types.ModuleType("queues")

    @hookimpl
    def tocsin_panels() -> object:
        return panels

    @hookimpl
    def tocsin_probes() -> dict[str, type[Probe]]:
        return {"queue": Queue} if probe else {}

    vars(module).update(tocsin_panels=tocsin_panels, tocsin_probes=tocsin_probes)
    return module


def test_a_panel_is_about_the_plugins_own_probes_or_those_it_names(tocsin_manager: Manager) -> None:
    """A plugin may add a panel for the checks of another one."""
    other = evolve(PANEL, name="other", probes=("http",))
    manager = tocsin_manager(queues=module_of([PANEL, other]))
    assert [(plugin, p.name, p.probes) for plugin, p in manager.panels] == [
        ("queues", "queue", ("queue",)), ("queues", "other", ("http",)),
    ]  # fmt: skip


def test_a_panel_is_listed_with_its_title(tocsin_manager: Manager) -> None:
    """As the other things that a plugin provides."""
    (record,) = tocsin_manager(queues=module_of([PANEL])).records
    view = plugin_view(record)
    assert view.kinds == ("probe", "panel")
    assert [(p.kind, p.name, p.summary) for p in view.provides][1:] == [
        ("panel", "queue", "The queue")
    ]


def changed(panel: Any, **fields: object) -> Any:
    """A panel that a plugin has changed after it was made."""
    made = evolve(panel)
    for name, value in fields.items():
        object.__setattr__(made, name, value)
    return made


class Mine(Panel):
    """A class of the plugin's own."""


@pytest.mark.parametrize(
    ("panels", "says"),
    [
        ({"queue": PANEL}, "returned dict from tocsin_panels, not a list"),
        (["queue"], "returned 'queue' from tocsin_panels, not a Panel"),
        ([Mine(name="a", title="A", text="x")], "returned a Mine from tocsin_panels, not a Panel"),
        ([PANEL, PANEL], "two panels of the name 'queue'"),
        ([Panel(name="empty", title="x")], "the panel 'empty' without facts, text and charts"),
        ([changed(PANEL, title=1)], "the panel 'queue', whose title must be one line"),
        ([changed(PANEL, charts=[CHART])], "whose charts must be a tuple of 0 to 20 PanelChart"),
        ([evolve(PANEL, charts=(changed(CHART, unit=None),))], "whose unit must be one line of 0"),
    ],
)  # fmt: skip
def test_what_cannot_be_shown_is_a_fault_of_the_plugin(
    panels: object, says: str, tocsin_manager: Manager
) -> None:
    """Named with the panel and the field; nothing that the plugin provides is used."""
    manager = tocsin_manager(queues=module_of(panels))
    (record,) = manager.records
    assert record.status == "failed"
    assert record.reason is not None
    assert says in record.reason
    assert (manager.panels, manager.probes) == ([], {})


def test_a_panel_about_nothing_is_a_fault(tocsin_manager: Manager) -> None:
    """A plugin without probes and sources has to say what its panel is about."""
    (record,) = tocsin_manager(queues=module_of([PANEL], probe=False)).records
    assert record.reason is not None
    assert "'queue' without probes, and provides no probe or source" in record.reason


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Panel(name="a b", title="x"), "name must be 1 to 64 letters"),
        (lambda: Panel(name="a", title="x\ny"), "title must be one line of 1 to 60 characters"),
        (lambda: Panel(name="a", title="x", text="x" * 10_001), "text must be text of at most"),
        (lambda: Panel(name="a", title="x", kinds=cast(Any, (1,))), "kinds must be a tuple of 0"),
        (lambda: PanelChart(title="x", curves=()), "curves must be a tuple of 1 to 20 PanelCurve"),
        (lambda: evolve(CHART, per_second=cast(Any, 1)), "per_second must be true or false"),
        (lambda: PanelCurve(metric=""), "metric must be one line of 1 to 200 characters"),
        (lambda: PanelFact(label="", value="x"), "label must be one line of 1 to 60 characters"),
    ],
)  # fmt: skip
def test_an_author_sees_at_once_what_is_wrong(make: Callable[[], object], says: str) -> None:
    """The constructors say what to write."""
    with pytest.raises(ValueError, match=says):
        make()


@frozen(kw_only=True)
class Measuring(Queue):
    """Watch a queue, with metrics."""

    metrics: ClassVar[dict[str, Metric]] = {
        "queue_length": Metric(help="Jobs that wait"),
        "oldest_seconds": Metric(help="Age of the oldest"),
    }


def measured(*panels: Panel) -> types.ModuleType:
    """A plugin with these panels, and a probe that declares metrics."""
    module = module_of(list(panels), probe=False)

    @hookimpl
    def tocsin_probes() -> dict[str, type[Probe]]:
        return {"queue": Measuring}

    vars(module).update(tocsin_probes=tocsin_probes)
    return module


def chart_of(metric: str, limit: str = "") -> PanelChart:
    return PanelChart(title="x", curves=(PanelCurve(metric=metric),), limit=limit)


@pytest.mark.parametrize(
    ("panel", "remark"),
    [
        (evolve(PANEL, probes=("queeu",)),
         "about the probe 'queeu', which no plugin provides; did you mean 'queue'?"),
        (evolve(PANEL, probes=("mqtt",)), "about the probe 'mqtt', which no plugin provides"),
        (evolve(PANEL, charts=(chart_of("queue_lenght"),)),
         "with the metric 'queue_lenght', which 'queue' does not declare; did you mean "
         "'queue_length'?"),
        (evolve(PANEL, charts=(chart_of("queue_length", limit="bound"),)),
         "with the metric 'bound', which 'queue' does not declare"),
        (evolve(PANEL, facts=(PanelFact(label="x", value="oldest_second"),)),
         "with the fact 'oldest_second', which is no metric that 'queue' declares; did you mean "
         "'oldest_seconds'?"),
    ],
)  # fmt: skip
def test_what_will_stay_empty_is_remarked_on(
    tocsin_manager: Manager, panel: Panel, remark: str
) -> None:
    """The panel is named, with what was probably meant; the plugin is not failed, since the probe
    may belong to one that is not installed."""
    manager = tocsin_manager(queues=measured(panel))
    (record,) = manager.records
    assert (record.status, record.reason) == ("ok", None)
    assert record.remarks == (f"has the panel 'queue' {remark}",)
    assert len(manager.panels) == 1
    manager.remark_on_panels()
    assert len(manager.records[0].remarks) == 1


def test_what_may_be_shown_is_not_remarked_on(tocsin_manager: Manager) -> None:
    """Declared metrics, facts of containers, attributes, and any metric of a probe that declares
    none."""
    facts = tuple(PanelFact(label="x", value=value) for value in ("leader", "image"))
    charts = (chart_of("oldest_seconds"), chart_of("cpu_percent", limit="memory_limit_bytes"))
    panels = [PANEL, evolve(PANEL, name="more", facts=facts, charts=charts)]
    assert tocsin_manager(queues=measured(*panels)).records[0].remarks == ()
    assert tocsin_manager(queues=module_of([PANEL])).records[0].remarks == ()


def test_the_order_of_plugins_does_not_matter(tocsin_manager: Manager) -> None:
    """A panel about a probe of a plugin that is loaded later is none about an unknown probe."""
    panels = module_of([evolve(PANEL, probes=("queue",))], probe=False)
    manager = tocsin_manager(a=panels, b=module_of([PANEL]))
    assert [record.remarks for record in manager.records] == [(), ()]


def test_our_own_panels_show_what_is_declared() -> None:
    """Nothing is remarked on in an installation without further plugins."""
    manager = PluginManager(PluginSettings(external=False))
    manager.load()
    assert {record.name: record.remarks for record in manager.records if record.remarks} == {}
