"""Settings in a container's labels: target options, dependencies and checks.

Each label is read separately. An invalid one is reported, and affects only the setting it is for.
"""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from attrs import frozen

from tocsin import Claim, Target, parse_duration, parse_size
from tocsin.plugins.probes.docker_health.addresses import Place
from tocsin.plugins.probes.docker_health.engine import part
from tocsin.plugins.probes.docker_health.facts import (
    NAME,
    PROJECT,
    given_labels,
    is_one_off,
    labels_of,
    member_of,
    membership_of,
    name_of,
)

if TYPE_CHECKING:
    from tocsin.plugins.probes.docker_health.registry import Registry

DEPENDS_ON = "com.docker.compose.depends_on"
_NOISE = ("com.docker.compose.", "org.opencontainers.", "org.label-schema.", "desktop.docker.")

_YES, _NO = ("true", "yes", "on", "1"), ("false", "no", "off", "0")
LONGEST_VALUE = 1000
"""Most characters of a label that is parsed as a TOML value; a longer one is text."""

MOST_LABELS, LONGEST_LABEL = 100, 500
"""Most labels of other programs that are shown, and most characters of each."""

MOST_NAMES, LONGEST_NAME = 100, 100

Services = Callable[[str, str], list[str]]
"""Returns the targets of a Compose service, given project and service."""


@frozen
class LabelSettings:
    """The settings in all labels of a container."""

    target: Target
    checks: dict[str, dict[str, Any]]
    claim: Claim


def read_labels(
    name: str, document: Mapping[str, Any], registry: Registry, place: Place, suffix: str
) -> LabelSettings:
    """Read the labels of a container.

    Args:
        name: the container's target.
        document: its inspect document.
        registry: finds the targets of Compose services.
        place: the address that its checks connect to.
        suffix: is appended to names of targets.
    """
    labels, given, refused = labels_of(document), given_labels(document), list[str]()
    if is_one_off(document):  # settings of its service do not apply to it
        labels = {key: text for key, text in labels.items() if not key.startswith("tocsin.")}
    _truth("tocsin.enable", labels, refused)  # only to report an invalid value
    member = member_of(document)
    if member is None or given.get(DEPENDS_ON) is None:
        labels.pop(DEPENDS_ON, None)
    target = target_of(name, labels, registry.of_service, refused)
    checks = checks_of(labels, place, refused)
    of = membership_of(document)
    wish = labels.get(NAME, "").strip().replace("/", "-")
    project, service = (member[0], member[1]) if member else ("", "")
    identity = {
        "name": name_of(document), "project": project, "service": service,
        "image": str(part(document, "Config").get("Image") or "")[:LONGEST_VALUE],
    }  # fmt: skip
    claim = Claim(
        name=f"{wish}{suffix}" if wish else None,
        also=() if of is None else tuple(each + suffix for each in of.names),
        by_image=NAME not in given,
        identity={key: text for key, text in identity.items() if text},
        depends_on="tocsin.depends_on" in labels,
        refused=tuple(refused),
    )
    return LabelSettings(target, checks, claim)


def is_on(labels: Mapping[str, str]) -> bool:
    """Return whether the container is to be watched: not if ``tocsin.enable`` is false."""
    return _truth("tocsin.enable", labels, []) is not False


def _truth(label: str, labels: Mapping[str, str], refused: list[str]) -> bool | None:
    """Return the boolean value of a label; None if it is missing or invalid."""
    text = labels.get(label, "").strip().lower()
    if text and text not in (*_YES, *_NO):
        refused.append(f"the label {label} is neither true nor false")
    return True if text in _YES else False if text in _NO else None


def target_of(
    name: str,
    labels: Mapping[str, str],
    service_targets: Services,
    refused: list[str] | None = None,
) -> Target:
    """Return the target that the labels describe.

    Args:
        name: name of the target.
        labels: labels of the container.
        service_targets: finds the targets of Compose services.
        refused: a sentence is added about each label that cannot be used.
    """
    refused = [] if refused is None else refused
    expected: dict[str, float] = {}
    for key, value in labels.items():
        if key.startswith("tocsin.expected."):
            metric = key.removeprefix("tocsin.expected.")
            try:
                expected[metric] = _number(metric, value)
            except (ValueError, OverflowError) as error:
                refused.append(f"the label {key[:LONGEST_NAME]} cannot be understood: {error}")
    shown = [key for key in sorted(labels) if not key.startswith((*_NOISE, "tocsin."))]
    return Target(
        name=name,
        kind="container",
        critical=_truth("tocsin.critical", labels, refused) is True,
        depends_on=tuple(d for d in dependencies(labels, service_targets, refused) if d != name),
        expected=expected,
        # The core cleans them for display, which works only on the original text.
        labels={_cut(key): _cut(labels[key]) for key in shown[:MOST_LABELS]},
    )


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST_LABEL else text[:LONGEST_LABEL] + "…"


def _number(metric: str, text: str) -> float:
    if not re.fullmatch(r"[\w.-]{1,100}", metric) or len(text) > LONGEST_NAME:
        raise ValueError("write tocsin.expected.METRIC=NUMBER")
    if metric.endswith("_bytes"):
        number = float(parse_size(int(text) if text.isdecimal() else text))
    else:
        number = parse_duration(text) if metric.endswith("_seconds") else float(text)
    if not (math.isfinite(number) and number >= 0):
        raise ValueError(f"{text!r} is not a number of at least 0")
    return number


def dependencies(
    labels: Mapping[str, str], service_targets: Services, refused: list[str] | None = None
) -> list[str]:
    """Return the targets that a container depends on.

    They are those of ``tocsin.depends_on=a,b``, else those of the label that Compose 2 sets:
    ``db:service_healthy:false,…``.

    Args:
        labels: labels of the container.
        service_targets: finds the targets of Compose services.
        refused: a sentence is added if ``tocsin.depends_on`` is invalid.
    """
    own = labels.get("tocsin.depends_on")
    if own is not None:
        names = [name for each in own.split(",", 10 * MOST_NAMES) if (name := each.strip())]
        good = [n for n in names if len(n) <= LONGEST_NAME and "/" not in n and n.isprintable()]
        if good != names[:MOST_NAMES] and refused is not None:
            refused.append(
                "the label tocsin.depends_on has invalid names, or too many: write names of 1 to "
                f"{LONGEST_NAME} characters without '/', and {MOST_NAMES} of them at most"
            )
        return good[:MOST_NAMES]
    project, found = labels.get(PROJECT, ""), []
    for item in labels.get(DEPENDS_ON, "").split(",", MOST_NAMES):
        service = item.split(":")[0].strip()
        if service:
            found += service_targets(project, service)
    return found


def checks_of(
    labels: Mapping[str, str], place: Place, refused: list[str] | None = None
) -> dict[str, dict[str, Any]]:
    """Return the checks that the labels ask for, as tables of ``tocsin.toml``.

    ``tocsin.http=:8000/health`` and ``tocsin.tcp=5432`` connect to the container's own address,
    and cannot run if it has none. ``tocsin.check.NAME.OPTION=value`` sets any option of a check
    that labels may set.

    Args:
        labels: labels of the container.
        place: the container's own address.
        refused: a sentence is added about each label that cannot be used.
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
        if not re.fullmatch(r"\s*[1-9]\d{0,4}\s*", port, re.ASCII):
            wrong = f"the label tocsin.tcp={where[:LONGEST_NAME]!r} is neither PORT nor HOST:PORT"
            checks["tcp"] = {"probe": "tcp", "unable": wrong}
        elif name or host is not None:
            checks["tcp"] = {"probe": "tcp", "host": name.strip("[]") or host, "port": int(port)}
        else:
            checks["tcp"] = {"probe": "tcp", "unable": place.why}
    for key, value in labels.items():
        if key.startswith("tocsin.check."):
            name, _, option = key.removeprefix("tocsin.check.").partition(".")
            if name and option:
                checks.setdefault(name, {})[option] = _value(value)
            elif refused is not None:
                refused.append(
                    f"the label {key[:LONGEST_NAME]} is not of the form tocsin.check.NAME.OPTION"
                )
    return checks


def _value(text: str) -> Any:
    """Parse a label as a TOML value; return it as text if that fails."""
    if len(text) > LONGEST_VALUE:
        return text
    try:
        value: Any = tomllib.loads(f"x = {text}")["x"]
    except Exception:  # noqa: BLE001 - the parser's limits are undocumented
        return text
    return value if isinstance(value, int | float | bool | list | str) else text
