"""Composes the mail of a message: headers, text, HTML, log files."""

from __future__ import annotations

import re
import socket
from collections.abc import Sequence
from datetime import datetime
from email.headerregistry import Address, HeaderRegistry, UnstructuredHeader
from email.message import EmailMessage
from email.policy import SMTP, EmailPolicy
from email.utils import format_datetime
from functools import cache
from importlib.resources import files
from zoneinfo import ZoneInfo

import jinja2

from tocsin import Message, Notice, Severity, Status, TargetStatus, format_duration

MOST_ROWS = 100
"""Maximum number of targets in the system table; those that are up are left out first."""

MOST_REPLIES = 10
"""Maximum number of earlier mails that a mail refers to."""

_ID = re.compile(r"<[!-;=?-~]+@[!-;=?-~]+>")
_ENCODED = "=?"
"""The beginning of an encoded word (RFC 2047)."""


class _Ids(UnstructuredHeader):
    """A header of message ids, which is folded only between ids: the library would write an id
    longer than a line as an encoded word, in which mail programs do not find it."""

    def fold(self, *, policy: EmailPolicy) -> str:
        ids = f"{policy.linesep} ".join(str(self).split())
        return f"{self.name}: {ids}{policy.linesep}"  # type: ignore[attr-defined]


def _policy() -> EmailPolicy[EmailMessage]:
    """Return a policy with bodies in ASCII, since some mail servers do not accept 8 bits."""
    headers = HeaderRegistry()
    for name in ("in-reply-to", "references"):
        headers.map_to_type(name, _Ids)  # type: ignore[arg-type]  # the registry adds BaseHeader
    return SMTP.clone(cte_type="7bit", header_factory=headers)


_POLICY = _policy()

_ICONS = {Status.UP: "🟢", Status.DEGRADED: "🟡", Status.DOWN: "🔴", Status.UNKNOWN: "⚪"}


def check_address(address: str) -> None:
    """Check that a text is a plain mail address, without line breaks. Raises ValueError."""
    if not address.isascii():
        raise ValueError(
            f"{address!r} has characters outside of ASCII, which some mail servers do not accept; "
            "write the domain in its xn--… form, or use another address"
        )
    try:
        found = Address(addr_spec=address)
        fits = bool(found.username and found.domain)
    except (ValueError, IndexError):
        fits = False
    if not fits or any(c.isspace() or not c.isprintable() for c in address):
        raise ValueError(f"{address!r} is not a mail address; write one such as admin@example.org")


def sender_for(user: str | None) -> str:
    """Return the default sender: the user if it is a mail address, else ``tocsin`` at this host."""
    if user is not None:
        try:
            check_address(user)
        except ValueError:
            pass
        else:
            return user
    # The host name as it is: a lookup of its domain could take long if no name server answers.
    host = re.sub(r"[^A-Za-z0-9.-]", "", socket.gethostname()).strip(".-") or "localhost"
    return f"tocsin@{host}"


def one_line(text: str, longest: int = 200) -> str:
    """Return a text without control characters and line breaks, at most ``longest`` characters."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:longest]


def header(text: str) -> str:
    """Return a text that cannot start another header: on one line, and without encoded words
    (RFC 2047), which the library would decode, and write any line breaks in them."""
    return one_line(text).replace(_ENCODED, "= ?")


def compose(message: Message, sender: str, to: Sequence[str]) -> EmailMessage:
    """Return the mail of a message. Its ``Message-ID`` is the same each time it is composed."""
    domain = sender.rpartition("@")[2]
    mail = EmailMessage(policy=_POLICY)
    mail["Subject"] = header(f"[tocsin] {message.words.title}")
    mail["From"] = Address("tocsin", addr_spec=sender)
    mail["To"] = ", ".join(to)
    mail["Date"] = format_datetime(message.created_at)
    mail["Message-ID"] = f"<{message.id}@{domain}>"
    asked = dict.fromkeys(n.reply_to or "" for n in message.notices)
    ids = [reply for reply in asked if _ID.fullmatch(reply) and _ENCODED not in reply]
    replies = ids[:MOST_REPLIES]
    if replies:
        mail["In-Reply-To"] = replies[0]
        mail["References"] = " ".join(replies)
    # RFC 3834: asks mail systems not to answer automatically (out of office).
    mail["Auto-Submitted"] = "auto-generated"
    mail["X-Auto-Response-Suppress"] = "All"
    if message.severity is Severity.CRITICAL:
        mail["X-Priority"] = "1 (Highest)"
        mail["Priority"] = "urgent"
        mail["Importance"] = "high"
    rows, hidden = shown(message.system)
    mail.set_content(_text(message, rows, hidden))
    mail.add_alternative(_html(message, rows, hidden), subtype="html")
    for notice in message.notices:
        if notice.logs:
            mail.add_attachment(
                "\n".join(_log_lines(notice, message.timezone)) + "\n", filename=_file_of(notice)
            )
    return mail


def shown(system: Sequence[TargetStatus]) -> tuple[Sequence[TargetStatus], int]:
    """Return the rows of the table (worst first), and the number of those left out."""
    return system[:MOST_ROWS], max(0, len(system) - MOST_ROWS)


def _counts(system: Sequence[TargetStatus]) -> str:
    up = sum(one.status is Status.UP for one in system)
    return f"{up} of {len(system)} up"


def _file_of(notice: Notice) -> str:
    name = re.sub(r"[^A-Za-z0-9._-]+", "_", notice.target)[:60].strip("._-")
    return f"{name or 'target'}.log"


def _log_lines(notice: Notice, zone: str) -> list[str]:
    return [
        f"{line.at.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M:%S} {one_line(line.text, 2000)}"
        if line.at is not None
        else one_line(line.text, 2000)
        for line in notice.logs
    ]


def _since(one: TargetStatus, at: datetime) -> str:
    return "" if one.since is None else format_duration(max(0.0, (at - one.since).total_seconds()))


def _text(message: Message, rows: Sequence[TargetStatus], hidden: int) -> str:
    lines = [message.words.text]
    if rows:
        lines += ["", f"Whole system: {_counts(message.system)}"]
        lines += [
            f"  {one.status.value:<9}{one_line(one.target)[:60]}"
            + (f": {one_line(one.message)[:120]}" if one.status is not Status.UP else "")
            for one in rows
        ]
        if hidden:
            lines.append(f"  and {hidden} more")
    return "\n".join(lines) + "\n"


@cache
def layout() -> jinja2.Template:
    """Return the HTML layout of all mails, read and compiled once."""
    text = (files(__package__) / "layout.html").read_text("utf-8")
    env = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    return env.from_string(text)


def _html(message: Message, rows: Sequence[TargetStatus], hidden: int) -> str:
    tone = "good" if message.words.icon == "✅" else message.severity.value
    table = [
        {
            "icon": _ICONS[one.status],
            "status": one.status.value,
            "target": one_line(one.target)[:100],
            "critical": one.critical,
            "message": one_line(one.message)[:160],
            "since": _since(one, message.created_at),
        }
        for one in rows
    ]
    logs = [
        {"target": one_line(n.target)[:100], "lines": _log_lines(n, message.timezone)[-5:]}
        for n in message.notices
        if n.logs
    ]
    return layout().render(
        words=message.words, tone=tone, rows=table, hidden=hidden, counts=_counts(message.system),
        logs=logs, channel=message.channel,
    )  # fmt: skip
