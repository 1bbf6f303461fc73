"""Validation of plugin classes and of the objects made of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from attrs import fields

from tocsin.core.contracts.base import Variable
from tocsin.core.contracts.metric import Metric, MetricKind
from tocsin.core.contracts.notifier import Notifier
from tocsin.core.contracts.probe import Probe, PushProbe
from tocsin.core.contracts.rule import Severity
from tocsin.core.contracts.source import ACTIONS, Source
from tocsin.core.plugin.faults import PluginFault
from tocsin.core.shapes.look import LONGEST_WAIT, MOST_METRICS, is_name, is_number, show


def _is_flag(value: object) -> bool:
    return type(value) is bool


def _is_label_list(value: object) -> bool:
    return isinstance(value, tuple | list) and all(is_name(each) for each in value)


def _seconds(value: object) -> bool:
    return is_number(value) and 0 <= value <= LONGEST_WAIT


def _perhaps_seconds(value: object) -> bool:
    return value is None or _seconds(value)


def _is_variable(value: object) -> bool:
    return (
        type(value) is Variable
        and type(value.name) is str
        and _VARIABLE_NAME.fullmatch(value.name) is not None
        and isinstance(value.only_with, str | None)
        and type(value.overrides) is bool
        and (value.default is None or _VARIABLE_NAME.fullmatch(value.default) is not None)
    )


def _are_variables(value: object) -> bool:
    """Return whether a value is a plain dict of variables by option. A dict of a class of its own
    could run code of the plugin wherever it is read."""
    return type(value) is dict and all(
        type(option) is str
        and _is_variable(variable)
        and (variable.only_with is None or variable.only_with in value)
        for option, variable in value.items()
    )


def _are_rules(value: object) -> bool:
    return type(value) is dict and all(
        is_name(name)
        and type(table) is dict
        and "rule" not in table
        and all(type(key) is str for key in table)
        for name, table in value.items()
    )


def _are_templates(value: object) -> bool:
    return type(value) is dict and all(
        type(name) is str
        and _TEMPLATE_NAME.fullmatch(name) is not None
        and type(text) is str
        and len(text) <= LONGEST_TEMPLATE
        for name, text in value.items()
    )


LONGEST_TEMPLATE = 64_000
"""Most characters of a template."""

_TEMPLATE_NAME = re.compile(r"[A-Za-z0-9_-]{1,120}(?:\.[A-Za-z0-9_-]{1,120})?")


def _are_metrics(value: object) -> bool:
    return (
        type(value) is dict
        and len(value) <= MOST_METRICS
        and all(
            is_name(name, 200)
            and type(metric) is Metric
            and is_name(metric.help, 300)
            and (metric.unit == "" or is_name(metric.unit))
            and type(metric.kind) is MetricKind
            for name, metric in value.items()
        )
    )


def _is_section(value: object) -> bool:
    return value is None or (
        type(value) is str and re.fullmatch(r"[a-z][a-z0-9_-]*", value) is not None
    )


_VARIABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_ENVIRONMENT = (
    _are_variables,
    "a dict of Variable by option (only_with: another of these options)",
)

_METRICS = (_are_metrics, "a dict of Metric by name, with one line of text as help and unit")

_VARIABLES: Mapping[str, Mapping[str, tuple[Callable[[Any], bool], str]]] = {
    "probe": {
        "metrics": _METRICS,
        "by_label": (_is_flag, "true or false"),
        "config_only": (_is_label_list, "a tuple of names of options"),
    },
    "source": {
        "metrics": _METRICS,
        "autostart": (
            lambda value: value is None or (is_name(value) and "/" not in value),
            "a name without '/', or None",
        ),
        "target_kind": (is_name, "a name"),
        "actions": (
            lambda value: (
                value is None or (type(value) is tuple and all(name in ACTIONS for name in value))
            ),
            f"a tuple of {', '.join(ACTIONS)}, or None",
        ),
    },
    "rule": {
        "inhibits": (_is_flag, "true or false"),
        "stands_for_down": (_is_flag, "true or false"),
        "explained_by_down": (_is_flag, "true or false"),
        "rule_state_suffices": (_is_flag, "true or false"),
        "autostart": (_are_rules, "a dict of tables (without rule) by names of rules"),
        "templates": (
            _are_templates,
            "a dict of texts by RULE or RULE.KIND (letters, digits, '_' and '-')",
        ),
    },
    "reviewer": {
        "section": (_is_section, "the name of a table, such as 'proxy', or None"),
    },
    "notifier": {
        "min_severity": (lambda value: type(value) is Severity, "a Severity"),
        "batch": (_perhaps_seconds, "seconds"),
        "log_lines": (lambda v: type(v) is int and 0 <= v <= 1000, "a number from 0 to 1000"),
        "wants_system": (_is_flag, "true or false"),
        "environment": _ENVIRONMENT,
        "templates": (
            _are_templates,
            "a dict of texts by names of templates (letters, digits, '_' and '-')",
        ),
    },
    "history": {"environment": _ENVIRONMENT},
}


def check_class(cls: Any, kind: str) -> None:
    """Validate the class variables of a plugin's class.

    Args:
        cls: the class.
        kind: ``probe``, ``source``, ``rule``, ``notifier`` and so on.

    Raises:
        PluginFault: a variable has an invalid value.
    """
    for name, (is_fit, wanted) in _VARIABLES.get(kind, {}).items():
        value = getattr(cls, name)
        if not is_fit(value):
            raise PluginFault(f"has a class whose {name} is {show(value)}, not {wanted}")
    if kind in ("notifier", "history"):
        options = {field.name for field in fields(cls) if field.init}
        if more := [option for option in cls.environment if option not in options]:
            raise PluginFault(f"has a class whose environment names {more[0]!r}, no option of it")


def _whole(value: object) -> bool:
    return type(value) is int and is_number(value)


_OPTIONS: tuple[tuple[type, Mapping[str, Callable[[Any], bool]]], ...] = (
    (Probe, {"interval": _perhaps_seconds, "timeout": is_number, "retries": _whole}),
    (PushProbe, {"period": is_number, "grace": is_number,
                 "key": lambda v: v is None or isinstance(v, str)}),
    (Source, {"interval": _perhaps_seconds, "label_timeout": is_number,
              "label_interval": is_number, "label_checks": _whole, "label_checks_in_all": _whole,
              "label_probes": lambda v: isinstance(v, tuple | list)}),
    (Notifier, {"timeout": lambda v: _seconds(v) and v > 0}),
)  # fmt: skip


def check_instance(instance: Any) -> None:
    """Validate the options of a plugin's object that tocsin itself reads; its class may have
    replaced them by something else.

    Raises:
        PluginFault: an option has an invalid value.
    """
    for base, options in _OPTIONS:
        if isinstance(instance, base):
            for name, is_fit in options.items():
                value = getattr(instance, name)
                if not is_fit(value):
                    raise PluginFault(f"has {show(value)} as {name}, which is invalid")
