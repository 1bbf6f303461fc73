"""The checks whose results sources report: one for each target of a source."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import define, evolve

from tocsin.core.checks.bound_checks import BoundChecks
from tocsin.core.config.settings import SourceSettings, TargetSettings
from tocsin.core.contracts.container import Reason
from tocsin.core.contracts.model import Result
from tocsin.core.monitor.events import CheckPut
from tocsin.core.monitor.executor import Executor
from tocsin.core.state import CheckState


@define
class SourceChecks:
    """Puts these checks, and observes what a source does not report by itself.

    Attributes:
        executor: takes the changes.
        checks: takes the observations.
    """

    executor: Executor
    checks: BoundChecks

    def put(self, source: SourceSettings, target: str) -> None:
        """Put the check of a target that a source reports, or is expected to report."""
        known = self.executor.monitor.state.targets[target].checks.get(source.name)
        if known is not None and (known.interval, known.broken) == (source.interval, source.broken):
            return
        made = CheckState(
            target=target,
            name=source.name,
            probe=source.probe_name,
            interval=source.interval,
            polled=False,
            broken=source.broken,
        )
        self.executor.handle(CheckPut(made))
        if source.broken is not None:
            self.checks.observe(target, source.name, Result.unknown(source.broken))

    def miss(self, source: str, name: str, message: str) -> None:
        """Set a declared target of a source down, since the source does not have it."""
        known = self.executor.monitor.state.targets.get(name)
        if known is None or source not in known.checks:
            return
        last = known.checks[source].last
        if last is None or last.result.attributes.get("reason") != Reason.MISSING:
            text = f"missing: declared in the configuration, {message}"
            self.checks.observe(
                name, source, Result.down(text, attributes={"reason": Reason.MISSING})
            )

    def impaired(self, source: str, message: str) -> None:
        """Set all targets of a source to unknown, since it cannot see them."""
        for name, known in self.executor.monitor.state.targets.items():
            if known.source == source and source in known.checks:
                facts = known.container and evolve(known.container, reason=Reason.UNSEEN)
                self.checks.observe(name, source, Result.unknown(message, container=facts))


def source_of(
    sources: Mapping[str, SourceSettings],
    name: str,
    said: TargetSettings | None,
    found_by: str | None,
) -> SourceSettings | None:
    """Return the source that reports a target, or is expected to.

    Args:
        sources: the configured sources, by name.
        name: name of the target.
        said: what the configuration sets for it; None: nothing.
        found_by: name of the source that reports it; None: none does.
    """
    if found_by is not None:
        return sources.get(found_by)
    if said is None or said.kind is None:
        return None
    if said.source is not None:
        return sources.get(said.source)
    able = [s for s in sources.values() if s.target_kind == said.kind]
    suffix = name.rpartition("@")[2]
    return next((s for s in able if s.name == suffix), able[0] if able else None)
