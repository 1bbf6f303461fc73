"""What the engine's inspect document says, as :class:`tocsin.Container`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from tocsin import Container, Reason
from tocsin.plugins.probes.docker_health.reasons import Heard, reason_of
from tocsin.plugins.probes.docker_health.stats import Usage

_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d+))?(Z|[+-]\d\d:\d\d)")
_LONG_ID = re.compile(r" \([0-9a-f]{64}\)")
LONGEST_ERROR = 300
"""Characters."""

PROJECT = "com.docker.compose.project"
SERVICE = "com.docker.compose.service"


def parse_time(text: str | None) -> datetime | None:
    """The engine's time (nanoseconds) as aware UTC; its year 1 means never."""
    match = _TIME.fullmatch(text or "")
    if match is None or match[1].startswith("0001"):
        return None
    micro = (match[2] or "0")[:6].ljust(6, "0")
    zone = "+00:00" if match[3] == "Z" else match[3]
    return datetime.fromisoformat(f"{match[1]}.{micro}{zone}").astimezone(UTC)


def labels_of(document: Mapping[str, Any]) -> dict[str, str]:
    """The container's labels."""
    return dict((document.get("Config") or {}).get("Labels") or {})


def name_of(document: Mapping[str, Any]) -> str:
    """The container's name."""
    return str(document.get("Name", "")).lstrip("/")


def ports_of(document: Mapping[str, Any]) -> tuple[str, ...]:
    """Published ports as ``8003:8000/tcp``, others as ``8000/tcp``."""
    ports = (document.get("NetworkSettings") or {}).get("Ports") or {}
    shown: dict[str, None] = {}
    for inner, bindings in sorted(ports.items()):
        for binding in bindings or [None]:
            shown[inner if binding is None else f"{binding['HostPort']}:{inner}"] = None
    return tuple(shown)


def health_detail(document: Mapping[str, Any]) -> str:
    """The first line of the last health check's output."""
    log = ((document.get("State") or {}).get("Health") or {}).get("Log") or []
    output = str(log[-1].get("Output", "")).strip() if log else ""
    line = output.split("\n")[0][:200]
    return line or (f"exit code {log[-1].get('ExitCode')}" if log else "")


def state_of(document: Mapping[str, Any]) -> str:
    """The engine's word for the state."""
    return str((document.get("State") or {}).get("Status", "unknown"))


def start_error(document: Mapping[str, Any]) -> str:
    """Why the last start failed (a port that is taken, a mount, no such program), in a line; empty
    where it did not. The engine forgets it as soon as a start succeeds."""
    state = document.get("State") or {}
    status, code = state_of(document), state.get("ExitCode")
    if status not in ("created", "exited"):
        return ""
    words = " ".join(_LONG_ID.sub("", str(state.get("Error") or "")).split())
    if len(words) > LONGEST_ERROR:  # what went wrong is at the end, after all that it went through
        words = "…" + words[-LONGEST_ERROR:]
    return words or (f"exit code {code}" if status == "created" and code else "")


def container_of(
    document: Mapping[str, Any], heard: Heard, usage: Usage | None = None
) -> Container:
    """The facts of one container."""
    state = document.get("State") or {}
    status = state_of(document)
    policy = ((document.get("HostConfig") or {}).get("RestartPolicy") or {}).get("Name") or "no"
    health = (state.get("Health") or {}).get("Status") or "none"
    alive = status in ("running", "paused")
    failed = start_error(document)
    code = None if alive or (status == "created" and not failed) else state.get("ExitCode")
    oom = bool(state.get("OOMKilled")) or (heard.oom and not alive)
    reason = Reason.CRASHED if failed else reason_of(status, health, code, oom, policy, heard)
    if status == "running" and reason is Reason.RESTARTING:
        code = heard.exit_code  # the engine forgets it with each start; in a loop it still matters
    labels = labels_of(document)
    limit = (document.get("HostConfig") or {}).get("Memory") or None
    return Container(
        id=str(document.get("Id", ""))[:12],
        image=str((document.get("Config") or {}).get("Image", "")),
        state=status,
        reason=reason,
        health=health,
        exit_code=code,
        oom_killed=oom,
        restart_count=int(document.get("RestartCount") or 0),
        restart_policy=policy,
        created_at=parse_time(document.get("Created")),
        started_at=parse_time(state.get("StartedAt")),
        finished_at=parse_time(state.get("FinishedAt")),
        ports=ports_of(document),
        project=labels.get(PROJECT),
        service=labels.get(SERVICE),
        cpu_percent=None if usage is None else usage.cpu_percent,
        memory_bytes=None if usage is None else usage.memory_bytes,
        memory_limit_bytes=limit if usage is None else usage.memory_limit_bytes,
        memory_percent=None if usage is None else usage.memory_percent,
        network_rx_bytes=None if usage is None else usage.rx_bytes,
        network_tx_bytes=None if usage is None else usage.tx_bytes,
    )
