"""The targets of the configuration, with their checks and the rules that are changed for them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import Factory, asdict, define, frozen

from tocsin.core.config.checks import bad_name, make_check
from tocsin.core.config.errors import Catalog, Path, Problems
from tocsin.core.config.rules import RuleMaker
from tocsin.core.config.scalars import number, show
from tocsin.core.config.settings import CheckSettings, RuleSettings, TargetSettings
from tocsin.core.config.structure import build
from tocsin.core.config.suggest import did_you_mean
from tocsin.core.units import parse_duration, parse_size


@frozen(kw_only=True)
class _Match:
    """Patterns for a container that may use the target's name through a label."""

    name: str | None = None
    image: str | None = None
    project: str | None = None
    service: str | None = None

    def __attrs_post_init__(self) -> None:
        """Reject a table without patterns, which would match any container."""
        if not self.patterns():
            raise ValueError("must give a pattern of name, image, project or service")

    def patterns(self) -> dict[str, str]:
        """Return the patterns that were given."""
        return {key: text for key, text in asdict(self).items() if text is not None}


@frozen(kw_only=True)
class _TargetTable:
    kind: str | None = None
    critical: bool | None = None
    depends_on: tuple[str, ...] | None = None
    expected: Mapping[str, Any] = Factory(dict)
    labels: Mapping[str, str] = Factory(dict)
    enabled: bool = True
    source: str | None = None
    match: _Match | None = None
    checks: Mapping[str, Any] = Factory(dict)
    rules: Mapping[str, Any] = Factory(dict)


@define
class TargetMaker:
    """Makes targets of their tables.

    Attributes:
        catalog: the plugins.
        problems: collects what is wrong.
        maker: makes rules.
        rules: the rules of the whole configuration, by name.
        warnings: collects what is not as a user expects it.
        interval: default interval of checks, in seconds.
    """

    catalog: Catalog
    problems: Problems
    maker: RuleMaker
    rules: Mapping[str, RuleSettings]
    warnings: list[str]
    interval: float

    def targets(self, tables: Mapping[str, Any]) -> dict[str, TargetSettings]:
        """Return the targets of ``[targets.NAME]`` that are valid, by name."""
        targets = {}
        for name, table in tables.items():
            path = ("targets", name)
            if reason := bad_name(name):
                self.problems.add(path, reason)
                continue
            said = build(_TargetTable, table, path, self.problems)
            if said is None:
                # The table itself is wrong; report errors in its checks, too.
                checks = table.get("checks", {}) if isinstance(table, dict) else {}
                self._checks(checks, path)
                continue
            targets[name] = TargetSettings(
                name=name,
                kind=said.kind,
                critical=said.critical,
                depends_on=said.depends_on,
                expected=self._expected(said.expected, (*path, "expected")),
                labels=said.labels,
                enabled=said.enabled,
                source=said.source,
                checks=self._checks(said.checks, path),
                rules=self._overrides(said.rules, path),
                match={} if said.match is None else said.match.patterns(),
            )
            if said.enabled and said.kind is None and not said.checks:
                self.warnings.append(
                    f"target {name!r} has no checks and no kind: it is watched only if a source "
                    'finds it; write kind = "container" to be notified when it is missing'
                )
        return targets

    def _checks(self, tables: Any, path: Path) -> dict[str, CheckSettings]:
        checks = {}
        if isinstance(tables, dict):
            for name, table in tables.items():
                place = (*path, "checks", name)
                check = make_check(name, table, place, self.catalog, self.problems, self.interval)
                if check is not None:
                    checks[name] = check
                    if check.broken is not None:
                        self.warnings.append(f"check {path[1]}/{name} cannot run: {check.broken}")
        return checks

    def _overrides(self, tables: Mapping[str, Any], path: Path) -> dict[str, RuleSettings]:
        """Return the rules of ``[targets.NAME.rules.NAME]``, changed or added for one target."""
        made = {}
        for name, table in tables.items():
            place = (*path, "rules", name)
            if not isinstance(table, Mapping):
                self.problems.add(place, f"expected a table, got {show(table)}")
                continue
            base = self.rules.get(name)
            lost = self.catalog.unloaded(disabled=True) is not None
            if base is None and "rule" not in table and not lost:
                hint = did_you_mean(name, self.rules)
                self.problems.add(place, f"there is no such rule; {hint}")
                continue
            if base is not None:
                rule = self.maker.override(base, table, place)
            else:
                rule = self.maker.rule(name, table, place)
            if rule is not None:
                made[name] = rule
        return made

    def _expected(self, table: Mapping[str, Any], path: Path) -> dict[str, float]:
        expected = {}
        for key, value in table.items():
            try:
                if key.endswith("_bytes"):
                    level = float(parse_size(value))
                elif key.endswith("_seconds"):
                    level = parse_duration(value)
                else:
                    level = number(value)
                if level < 0:
                    raise ValueError(f"expected a number from 0 on, got {show(value)}")
                expected[key] = level
            except (ValueError, OverflowError) as error:
                self.problems.add((*path, key), str(error))
        return expected
