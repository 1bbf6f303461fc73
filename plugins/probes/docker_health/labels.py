"""What a container's labels ask of tocsin."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from typing import Any

from tocsin import Target, parse_duration, parse_size
from tocsin.plugins.probes.docker_health.addresses import Place
from tocsin.plugins.probes.docker_health.facts import PROJECT

DEPENDS_ON = "com.docker.compose.depends_on"
_NOISE = ("com.docker.compose.", "org.opencontainers.", "org.label-schema.", "desktop.docker.")


def is_on(labels: Mapping[str, str]) -> bool:
    """Whether the container is to be watched: ``tocsin.enable`` says false, or nothing."""
    return labels.get("tocsin.enable", "true").strip().lower() not in ("false", "no", "off", "0")


def target_of(
    name: str, labels: Mapping[str, str], service_targets: Callable[[str, str], list[str]]
) -> Target:
    """The target; ``service_targets(project, service)`` names the targets of a Compose service."""
    expected: dict[str, float] = {}
    for key, value in labels.items():
        if key.startswith("tocsin.expected."):
            metric = key.removeprefix("tocsin.expected.")
            try:
                expected[metric] = _number(metric, value)
            except ValueError:
                continue
    return Target(
        name=name,
        kind="container",
        critical=labels.get("tocsin.critical", "").strip().lower() in ("true", "yes", "on", "1"),
        depends_on=tuple(d for d in dependencies(labels, service_targets) if d != name),
        expected=expected,
        labels={
            key: value
            for key, value in sorted(labels.items())
            if not key.startswith((*_NOISE, "tocsin."))
        },
    )


def _number(metric: str, value: str) -> float:
    if metric.endswith("_bytes"):
        return float(parse_size(int(value) if value.isdecimal() else value))
    return parse_duration(value) if metric.endswith("_seconds") else float(value)


def dependencies(
    labels: Mapping[str, str], service_targets: Callable[[str, str], list[str]]
) -> list[str]:
    """``tocsin.depends_on=a,b``; else what Compose 2 notes: ``db:service_healthy:false,…``."""
    own = labels.get("tocsin.depends_on")
    if own is not None:
        return [name.strip() for name in own.split(",") if name.strip()]
    project, found = labels.get(PROJECT, ""), []
    for item in labels.get(DEPENDS_ON, "").split(","):
        service = item.split(":")[0].strip()
        if service:
            found += service_targets(project, service)
    return found


def checks_of(labels: Mapping[str, str], place: Place) -> dict[str, dict[str, Any]]:
    """Further checks, as tables of ``tocsin.toml``.

    ``tocsin.http=:8000/health`` and ``tocsin.tcp=5432`` mean the container's own address, and are
    unable to run where it has none; ``tocsin.check.NAME.OPTION=value`` says anything that a table
    can, as far as labels may.
    """
    checks: dict[str, dict[str, Any]] = {}
    host = place.address
    if url := labels.get("tocsin.http"):
        if not url.startswith((":", "/")):
            checks["http"] = {"probe": "http", "url": url}
        elif host is None:
            checks["http"] = {"probe": "http", "unable": place.why}
        else:
            bracketed = f"[{host}]" if ":" in host else host
            checks["http"] = {"probe": "http", "url": f"http://{bracketed}{url}"}
    if where := labels.get("tocsin.tcp"):
        name, _, port = where.rpartition(":")
        if name or host is not None:
            checks["tcp"] = {"probe": "tcp", "host": name or host, "port": _value(port)}
        else:
            checks["tcp"] = {"probe": "tcp", "unable": place.why}
    for key, value in labels.items():
        if key.startswith("tocsin.check."):
            name, _, option = key.removeprefix("tocsin.check.").partition(".")
            if option:
                checks.setdefault(name, {})[option] = _value(value)
    return checks


def _value(text: str) -> Any:
    """A label's text as the TOML value it looks like, else as text."""
    try:
        value: Any = tomllib.loads(f"x = {text}")["x"]
    except (tomllib.TOMLDecodeError, KeyError):
        return text
    return value if isinstance(value, int | float | bool | list | str) else text
