"""The channels that rules name: they have to exist, since an alert without a channel is lost."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from tocsin.core.config.errors import Catalog, Path, Problems
from tocsin.core.config.settings import RuleSettings, Settings, TargetSettings
from tocsin.core.config.suggest import did_you_mean


def named_channels(
    rules: Collection[RuleSettings], targets: Collection[TargetSettings]
) -> Iterator[tuple[Path, RuleSettings, str]]:
    """Yield each name of a channel or notifier in the policy of a rule.

    Args:
        rules: the rules.
        targets: the targets, some with rules of their own.

    Yields:
        Where the name is in the file, the rule, and the name.
    """
    placed: list[tuple[Path, RuleSettings]] = [(("rules", rule.name), rule) for rule in rules]
    for target in targets:
        placed += [
            (("targets", target.name, "rules", rule.name), rule) for rule in target.rules.values()
        ]
    for path, rule in placed:
        for name in rule.policy.channels or ():
            yield (*path, "channels"), rule, name
        for name in rule.policy.escalation_channels:
            yield (*path, "escalation_channels"), rule, name


def check_channel_names(
    settings: Settings,
    tables: Collection[str],
    written: Collection[str],
    catalog: Catalog,
    problems: Problems,
) -> Iterator[str]:
    """Check the channels that rules name.

    A name may be that of a channel or of a notifier, which stands for all channels that use it.

    Args:
        settings: the configuration.
        tables: names of the file's ``[channels.NAME]``.
        written: names of the file's ``[rules.NAME]``.
        catalog: the plugins.
        problems: collects unknown names.

    Yields:
        A warning for each name without a channel that is no error: the channel or its variables
            may follow, or a plugin declares the rule.
    """
    there = {*settings.channels, *(c.notifier_name for c in settings.channels.values()), "*"}
    known = {*there, *catalog.notifiers, *tables}
    for path, rule, name in named_channels(settings.rules.values(), settings.targets.values()):
        is_users = path[0] == "targets" or rule.name in written or path[-1] not in rule.table
        if name not in known and is_users:
            problems.add(path, f"no channel is called {name!r}; {did_you_mean(name, known)}")
        elif name not in there:
            yield f"rule {rule.name!r} names the channel {name!r}, which is not configured"
