"""Conversion of the engine's inspect document to a :class:`tocsin.Container`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from attrs import frozen

from tocsin import Container, Reason, clean_text
from tocsin.plugins.probes.docker_health.engine import part
from tocsin.plugins.probes.docker_health.output import telling_line
from tocsin.plugins.probes.docker_health.reasons import Heard, reason_of
from tocsin.plugins.probes.docker_health.stats import Usage

_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d+))?(Z|[+-]\d\d:\d\d)")
_LONG_ID = re.compile(r" \([0-9a-f]{64}\)")
LONGEST_ERROR = 300
"""Most characters of the error of a failed start."""

MOST_PORTS, LONGEST_PORT = 1000, 100
"""Most ports that are shown, and most characters of each."""

PROJECT = "com.docker.compose.project"
SERVICE = "com.docker.compose.service"
NUMBER = "com.docker.compose.container-number"
ONE_OFF = "com.docker.compose.oneoff"
CONFIG_HASH = "com.docker.compose.config-hash"
NAME = "tocsin.name"

SWARM_SERVICE = "com.docker.swarm.service.name"
SWARM_TASK = "com.docker.swarm.task.name"

_POD = re.compile(
    r"(?P<workload>.+?)(?:-(?:\d{8,10}|(?P<hash>[2-9bcdf-hj-np-tv-xz]{6,10})))?"
    r"-[2-9bcdf-hj-np-tv-xz]{5}"
    r"|(?P<set>.+)-\d{1,5}"
)
"""Pod names that Kubernetes derives from the name of a Deployment, CronJob, DaemonSet or Job (with
a suffix from the alphabet of its SafeEncodeString) or of a StatefulSet (with a number):
https://kubernetes.io/docs/concepts/workloads/controllers/"""

_SERVICE_NAME = re.compile(r"[\w.-]{1,200}", re.ASCII)

IMAGE_LABELS = "tocsin.image-labels"
"""Key of the image's labels in a document; the value None: the image could not be inspected."""


def parse_time(text: object, ahead: float = 0.0) -> datetime | None:
    """Convert a time of the engine, less ``ahead`` seconds, to UTC; None for year 1 (never)."""
    match = _TIME.fullmatch(text) if isinstance(text, str) else None
    if match is None or match[1].startswith("0001"):
        return None
    micro = (match[2] or "0")[:6].ljust(6, "0")
    zone = "+00:00" if match[3] == "Z" else match[3]
    try:
        at = datetime.fromisoformat(f"{match[1]}.{micro}{zone}").astimezone(UTC)
        return at - timedelta(seconds=ahead)
    except (ValueError, OverflowError):  # a date that does not exist
        return None


def labels_of(document: Mapping[str, Any]) -> dict[str, str]:
    """Return the container's labels, which include those of its image."""
    return {
        key: text for key, text in part(document, "Config", "Labels").items()
        if isinstance(text, str)
    }  # fmt: skip


def given_labels(document: Mapping[str, Any]) -> dict[str, str]:
    """Return the labels that the container does not have from its image.

    The result is empty if the labels of the image are not known.
    """
    image = document.get(IMAGE_LABELS)
    if not isinstance(image, Mapping):
        return {}
    return {key: text for key, text in labels_of(document).items() if image.get(key) != text}


def needs_image(document: Mapping[str, Any]) -> bool:
    """Return whether labels of the container must be told apart from those of its image."""
    return not labels_of(document).keys().isdisjoint((SERVICE, NAME, SWARM_SERVICE))


def member_of(document: Mapping[str, Any]) -> tuple[str, str, str] | None:
    """Return project, service and number of a container that Compose created; None for others.

    Images may have the labels of project and service, too: Compose sets them on images that it
    builds, and anyone can set them. So the labels that only containers get are required.
    """
    labels, given = labels_of(document), given_labels(document)
    if not (labels.get(SERVICE) and given.get(NUMBER) and given.get(CONFIG_HASH)):
        return None
    return labels.get(PROJECT, ""), labels[SERVICE], given[NUMBER]


def is_build_step(document: Mapping[str, Any]) -> bool:
    """Return whether the classic builder created the container for one step of a build.

    Such a container has an image given by digest, no log, and not the restart policy that
    ``docker run`` and Compose set.
    """
    policy = part(document, "HostConfig", "RestartPolicy").get("Name")
    log = part(document, "HostConfig", "LogConfig").get("Type")
    image = str(part(document, "Config").get("Image", ""))
    return (
        policy == ""
        and log == "none"
        and image.startswith("sha256:")
        and SERVICE not in labels_of(document)
    )


def is_one_off(document: Mapping[str, Any]) -> bool:
    """Return whether the container is a one-off job of Compose (``compose run``)."""
    return given_labels(document).get(ONE_OFF) == "True"


def service_of(document: Mapping[str, Any]) -> tuple[str, str] | None:
    """Return project and service of a container that is a replica of a Compose service.

    None for any other container, also for a one-off job (``compose run``).
    """
    member = member_of(document)
    return None if member is None or labels_of(document).get(ONE_OFF) == "True" else member[:2]


@frozen
class Membership:
    """The service that a container is an instance of.

    Attributes:
        key: identifies the service on its engine; the first item is its orchestrator: "compose",
            "swarm" or "k8s".
        names: its name, and the name to use if another target has the former.
        place: identifies the replica: of two instances in one place, the newer one has replaced
            the other.
        generation: the rollout that the instance belongs to; empty if it is not known.
        may_complete: the service may be a job: a run that completes cancels all earlier failures.
    """

    key: tuple[str, ...]
    names: tuple[str, str]
    place: str
    generation: str = ""
    may_complete: bool = False


def membership_of(document: Mapping[str, Any]) -> Membership | None:
    """Return the service that a container is an instance of; None for a single container.

    Swarm sets its labels on each container that it creates (an image may have them, too). A kubelet
    that uses Docker names containers ``k8s_CONTAINER_POD_NAMESPACE_UID_ATTEMPT``; no part contains
    a "_".
    """
    of = _member_of_compose(document) or _task_of_swarm(document) or _container_of_pod(document)
    return of if of is not None and all(map(_SERVICE_NAME.fullmatch, of.names)) else None


def _member_of_compose(document: Mapping[str, Any]) -> Membership | None:
    if (of := service_of(document)) is None:
        return None
    project, service = of
    return Membership(("compose", *of), (service, f"{project}-{service}"), "")


def _task_of_swarm(document: Mapping[str, Any]) -> Membership | None:
    given = given_labels(document)
    service, task = given.get(SWARM_SERVICE, ""), given.get(SWARM_TASK, "")
    if not (service and task):
        return None
    return Membership(("swarm", service), (service, f"{service}-service"), task.rpartition(".")[0])


def _container_of_pod(document: Mapping[str, Any]) -> Membership | None:
    parts = name_of(document).split("_")
    if len(parts) != 6 or parts[0] != "k8s" or parts[1] == "POD":
        return None
    _, container, pod, namespace, uid, _ = parts
    match = _POD.fullmatch(pod)
    workload = pod if match is None else match["workload"] or match["set"]
    name = workload if workload == container else f"{workload}-{container}"
    key = ("k8s", namespace, workload, container)
    rollout = "" if match is None else match["hash"] or ""
    may_complete = match is not None and not (match["set"] or rollout)
    return Membership(key, (name, f"{namespace}-{name}"), uid, rollout, may_complete)


def name_of(document: Mapping[str, Any]) -> str:
    """Return the container's name without the leading slash."""
    return str(document.get("Name") or "").lstrip("/")


def ports_of(document: Mapping[str, Any]) -> tuple[str, ...]:
    """Return published ports as ``8003:8000/tcp``, others as ``8000/tcp``."""
    shown: dict[str, None] = {}
    for inner, bindings in sorted(part(document, "NetworkSettings", "Ports").items()):
        for binding in bindings or [None]:
            outer = part(binding).get("HostPort")
            port = clean_text(inner if outer is None else f"{outer}:{inner}", longest=LONGEST_PORT)
            shown |= {port: None} if port else {}
    return tuple(shown)[:MOST_PORTS]


def health_detail(document: Mapping[str, Any]) -> str:
    """Return the most informative line of the output of the last health check."""
    log = part(document, "State", "Health").get("Log")
    if not isinstance(log, list) or not log:
        return ""
    last = part(log[-1])
    line = telling_line(str(last.get("Output") or ""))
    return clean_text(line, longest=240) or f"exit code {last.get('ExitCode')}"


def state_of(document: Mapping[str, Any]) -> str:
    """Return the state as the engine names it."""
    return str(part(document, "State").get("Status", "unknown"))


def start_error(document: Mapping[str, Any]) -> str:
    """Return why the last start failed (port in use, mount, missing program); empty if it did not.

    The engine forgets the error as soon as a start succeeds.
    """
    state = part(document, "State")
    status, code = state_of(document), state.get("ExitCode")
    if status not in ("created", "exited"):
        return ""
    words = _LONG_ID.sub("", clean_text(" ".join(str(state.get("Error") or "").split())))
    if len(words) > LONGEST_ERROR:  # the cause is at the end, after the steps before it
        words = "…" + words[-LONGEST_ERROR:]
    return words or (f"exit code {code}" if status == "created" and code else "")


def container_of(
    document: Mapping[str, Any], heard: Heard, usage: Usage | None = None, ahead: float = 0.0
) -> Container:
    """Return the facts of one container.

    Args:
        document: its inspect document.
        heard: what events reported about it.
        usage: its resource usage, if it was measured.
        ahead: seconds by which the engine's clock is ahead of ours; times are corrected by it.
    """
    state = part(document, "State")
    status = state_of(document)
    policy = str(part(document, "HostConfig", "RestartPolicy").get("Name") or "no")
    health = str(part(state, "Health").get("Status") or "none")
    alive = status in ("running", "paused")
    failed = start_error(document)
    code = None if alive or (status == "created" and not failed) else state.get("ExitCode")
    oom = bool(state.get("OOMKilled")) or (heard.oom and not alive)
    reason = Reason.CRASHED if failed else reason_of(status, health, code, oom, policy, heard)
    if status == "running" and reason is Reason.RESTARTING:
        code = heard.exit_code  # the engine forgets it at each start; in a loop it is needed
    project, service, _ = member_of(document) or (None, None, None)
    limit = part(document, "HostConfig").get("Memory") or None
    return Container(
        id=str(document.get("Id", ""))[:12],
        image=str(part(document, "Config").get("Image", "")),
        state=status,
        reason=reason,
        health=health,
        exit_code=code,
        oom_killed=oom,
        restart_count=int(document.get("RestartCount") or 0),
        restart_policy=policy,
        created_at=parse_time(document.get("Created"), ahead),
        started_at=parse_time(state.get("StartedAt"), ahead),
        finished_at=parse_time(state.get("FinishedAt"), ahead),
        ports=ports_of(document),
        project=project,
        service=service,
        cpu_percent=None if usage is None else usage.cpu_percent,
        memory_bytes=None if usage is None else usage.memory_bytes,
        memory_limit_bytes=limit if usage is None else usage.memory_limit_bytes,
        memory_percent=None if usage is None else usage.memory_percent,
        network_rx_bytes=None if usage is None else usage.rx_bytes,
        network_tx_bytes=None if usage is None else usage.tx_bytes,
    )
