"""Services: each one that a plugin provides runs, with its defaults or with ``[services.NAME]``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tocsin.core.config.checks import enabled
from tocsin.core.config.construct import construct
from tocsin.core.config.errors import Catalog, Problems
from tocsin.core.config.find_plugin import find_plugin
from tocsin.core.config.required import why_idle
from tocsin.core.config.scalars import show
from tocsin.core.config.settings import ServiceSettings


def make_services(
    tables: Mapping[str, Any],
    catalog: Catalog,
    problems: Problems,
    warnings: list[str],
    idle: dict[str, str],
) -> dict[str, ServiceSettings]:
    """Return the services by name, without those that are disabled, wrong or idle.

    Args:
        tables: the file's ``[services.NAME]``.
        catalog: the plugins.
        problems: collects the errors.
        warnings: collects what is wrong with plugins.
        idle: collects what lacks an option.
    """
    services = {}
    for name in [*tables, *(name for name in catalog.services if name not in tables)]:
        path = ("services", name)
        table = tables.get(name, {})
        if not isinstance(table, Mapping):
            problems.add(path, f"expected a table, got {show(table)}")
            continue
        options = dict(table)
        if not enabled(options, path, problems):
            continue
        entry, broken = find_plugin("service", name, catalog, path, problems)
        if entry is None and broken is None:
            continue
        if (
            entry is not None
            and name not in tables
            and (lack := why_idle(entry.cls, path)) is not None
        ):
            idle[f"service.{name}"] = lack
            continue
        service = None
        if entry is not None:
            service, broken = construct(
                entry.cls, options, path, problems, asked_for=name in tables, also=("enabled",)
            )
            if service is None and broken is None:
                continue
        if broken is not None:
            warnings.append(f"service {name} cannot run: {broken}")
        services[name] = ServiceSettings(
            name=name,
            plugin=None if entry is None else entry.plugin,
            service=service,
            broken=broken,
            options=options,
            is_configured=name in tables,
        )
    return services
