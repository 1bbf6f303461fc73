"""Secrets in the arguments of programs, such as ``curl -u user:password``."""

from __future__ import annotations

import re

from tocsin.core.hiding import names
from tocsin.core.hiding.mask import Found, mask_quoted
from tocsin.core.hiding.names import HIDDEN, is_secret_name

_GAP = r"(?:=|[\"']?,?\s{1,3}|[\"'],)"
_ARGUMENT = (
    r"(\\{0,3}\"(?:[^\"\\\n]|\\(?!\\{0,2}\")){1,4000}+(?:\\{0,3}\")?|'[^'\n]{1,4000}+'?"
    r"|(?:[^\s\"',\]]|[,\]](?=[^\s\"',\]])|[\"'](?=\w)){1,8000}+)"
)
_START = r"(?<![^\s\"'\[,])"
_OPTION = re.compile(rf"(?<![\w-])(--?[A-Za-z][\w.-]{{1,60}}+)({_GAP})(?!-){_ARGUMENT}")
OPTION = re.compile(r"--?[A-Za-z][\w.-]{1,60}")
USER = r"-[A-Za-z]{0,6}u|-[Ua]|--(?:proxy-)?user|--auth|--(?:[a-z]{2,8}-)?creds"
_PAIR = re.compile(rf"{_START}({USER})({_GAP}?[\"']?)([^\s:%\"',/]{{1,80}}[:%,]){_ARGUMENT}")
_LOGIN = (
    r"\b(?:docker|podman|nerdctl|helm|oras|crane|regctl|skopeo|buildah|az)\b"
    r"[^\n|;&]{0,60}?\blogin\b"
)
PROGRAMS = tuple(
    (re.compile(program), letters, re.compile(rf"{_START}(-[{letters}])({gap})(?!-){_ARGUMENT}"))
    for program, letters, gap in (
        (r"\b(?:mysql(?!d\b|d_)|mariadb(?!d\b|d_)|mycli|7z|un?rar|rar)", "p", ""),
        (
            r"\b(?:sshpass|mongo(?:sh|dump|restore|export|import|stat|top|files)?\b|rabbitmqadmin"
            rf"|cqlsh|twine|ncftp\w*|check_(?:my|pg)sql)|{_LOGIN}",
            "p",
            f"{_GAP}?",
        ),
        (r"\b(?:redis|valkey|keydb)-cli", "a", f"{_GAP}?"),
        (r"\bldap\w{3,}", "w", f"{_GAP}?"),
        (r"\b(?:mosquitto_\w+|(?:un)?zip\b|sqlcmd|bcp\b|check_ldap)", "P", f"{_GAP}?"),
        (r"\bsnmp\w+", "AXc", _GAP),
        (r"\bcheck_snmp", "AXC", _GAP),
        (r"\binflux\b", "pt", _GAP),
        (r"\bcurl\b", "b", _GAP),
    )
)
"""Programs, their option letters that take a password, and these options in a text."""

PORTS = re.compile(r"[\d.]{0,20}:?\d{1,5}:\d{1,5}(?:/\w+)?")
_CONTAINERS = re.compile(r"\b(?:docker|podman|nerdctl|compose|run|exec|chown)\b")
_PROGRAM_WORDS = (
    "mysql",
    "mariadb",
    "mycli",
    "sshpass",
    "mongo",
    "rabbitmq",
    "7z",
    "login",
    "check_",
    "-cli",
    "ldap",
    "mosquitto",
    "zip",
    "influx",
    "snmp",
    "rar",
    "sqlcmd",
    "bcp",
    "cqlsh",
    "twine",
    "ncftp",
    "curl",
)
_PASS_PHRASE = re.compile(rf"\b(pass)(:){_ARGUMENT}")
POSITIONAL = re.compile(r"add_user|change_password|authenticate_user")
"""Commands whose second argument is a password."""

_POSITIONAL = re.compile(
    rf"(\b(?:{POSITIONAL.pattern}){_GAP}[\"']?[^\s\"',]{{1,100}}+)({_GAP})(?!-){_ARGUMENT}"
)


def hide_positional(text: str, found: Found | None) -> str:
    """Return a text without the passwords in arguments of :data:`POSITIONAL`."""
    return _POSITIONAL.sub(lambda m: m[1] + m[2] + mask_quoted(m[3], found), text)


def hide_arguments(text: str, low: str, found: Found | None) -> str:
    """Return a text without the secrets in arguments; ``low`` is the text in lower case."""

    def option(match: re.Match[str]) -> str:
        name, gap, value = match.groups()
        bare = value.strip("\"'\\")
        if not is_secret_name(name.lstrip("-")) or names.PROSE.fullmatch(bare) or HIDDEN in bare:
            return match[0]
        return f"{name}{gap}{mask_quoted(value, found)}"

    def pair(match: re.Match[str]) -> str:
        name, gap, user, password = match.groups()
        return (
            match[0]
            if not is_pair(name, user, password, low)
            else (f"{name}{gap}{user}{mask_quoted(password, found)}")
        )

    def short(match: re.Match[str]) -> str:
        if HIDDEN in match[3] or PORTS.fullmatch(match[3]):
            return match[0]
        if match[1] == "-b" and "=" not in match[3]:  # a file with cookies
            return match[0]
        return match[1] + match[2] + mask_quoted(match[3], found)

    text = _PAIR.sub(pair, _OPTION.sub(option, text))
    if "pass:" in low and ("openssl" in low or "-passin" in low or "-passout" in low):
        text = _PASS_PHRASE.sub(short, text)
    for word in _PROGRAM_WORDS:
        if word in low:
            break
    else:
        return text
    for program, _, secret in PROGRAMS:
        if (named := program.search(text)) is not None:
            text = text[: named.start()] + secret.sub(short, text[named.start() :])
    return text


def is_pair(option: str, user: str, password: str, low: str) -> bool:
    """Return whether the argument of an option such as ``-u`` is a user and a password."""
    if HIDDEN in password or password.startswith("//") or (user[:-1] + password).isdigit():
        return False
    if user[-1] != ":" and {"%": "smb", ",": "ftp"}[user[-1]] not in low:
        return False
    web = any(program in low for program in ("curl", "http", "wget", "check_"))
    if option in ("-a", "--auth") or (option[:2] != "--" and len(option) > 2):
        return web
    return web or _CONTAINERS.search(low) is None  # for containers it is a user and a group
