"""What looks like a secret, whoever it belongs to.

The shapes of tokens are those of gitleaks (https://github.com/gitleaks/gitleaks, MIT), taken over
as facts: it is a program in Go, and detect-secrets, the library in Python, searches files of source
line by line with each of its rules, brings requests along, and has had no release since 2024.

Every expression is linear on any text: what may repeat is bounded, possessive, or eats what it has
looked at.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from tocsin.core.hiding.names import HIDDEN, KEYS, is_secret_name

Found = Callable[[str], object]
"""Is told each secret that is hidden."""

_TRIGGERS = (
    "pass", "pwd", "secret", "token", "key", "authori", "cookie", "cred", "dsn", "://", "bearer",
    "basic", "sig", "jwt", " -", "identified", "string", "\"-", "'-",
)  # fmt: skip
_LONG = re.compile(r"\S{20}")

# ---- tokens, by their first letters

_TOKENS = re.compile(
    r"(?<![A-Za-z0-9_-])(?:"
    r"(?:A3T[A-Z0-9]|AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}(?![A-Za-z0-9])"  # AWS
    r"|gh[pousr]_[A-Za-z0-9]{20,255}|github_pat_\w{20,255}"
    r"|gl(?:pat|dt|rt|oas|ptt|ft|imt|agent|soat|cbt)-[\w.-]{20,300}"
    r"|xox[a-z](?:\.xox[a-z])?-[\w-]{10,300}|xapp-[\w-]{10,300}"  # Slack
    r"|[srp]k_(?:live|test|prod)_[A-Za-z0-9]{10,200}|whsec_[A-Za-z0-9+/=]{16,200}"  # Stripe
    r"|(?:bot)?\d{5,16}:[A-Za-z0-9_-]{30,100}"  # Telegram
    r"|AIza[\w-]{35}|ya29\.[\w.-]{20,500}|GOCSPX-[\w-]{20,100}"  # Google
    r"|npm_[A-Za-z0-9]{36}|pypi-[\w-]{16,300}|dckr_(?:pat|oat)_[\w-]{20,100}"
    r"|eyJ[\w-]{5,8000}+\.[\w-]{5,16000}+(?:\.[\w-]{0,8000}+){0,3}"  # JSON Web Tokens
    r"|SG\.[\w-]{16,100}\.[\w-]{16,100}|key-[0-9a-f]{32}|SK[0-9a-f]{32}"  # Twilio
    r"|sk-[A-Za-z0-9][\w-]{19,250}|hf_[A-Za-z0-9]{30,60}"
    r"|do[opr]_v1_[a-f0-9]{64}|shp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}|dapi[a-f0-9]{32}"
    r"|hv[sbr]\.[\w-]{20,300}|gl(?:sa|c)_[\w+/=-]{20,300}|dp\.[a-z]{2,5}\.[A-Za-z0-9]{40,50}"
    r"|lin_api_[A-Za-z0-9]{32,60}|sntry[su]_[\w+/=.-]{20,400}|ATATT3[\w=-]{20,300}"
    r"|AGE-SECRET-KEY-1[0-9A-Z]{58}|tocsin_[\w-]{20,200}"
    r")"
    r"|(?:hooks\.slack\.com/(?:services|workflows|triggers)"
    r"|discord(?:app)?\.com/api/webhooks|webhook\.office\.com/webhookb2)/[^\s\"'<>]{10,400}+"
)

# ---- URLs: scheme://user:password@host, and a bare token as user

_URL = re.compile(r"://[^\s\"<>`]++")
_PORT = re.compile(r"\d{1,5}(?![^/?#,;'\])}|\\])")
_BARE = re.compile(r"[\w.~%-]{20,}")

# ---- key: value

_KEY = re.compile(
    rf"(?i)((?:{KEYS}|(?<![a-z])(?:pass|sig|signature)(?![a-z]))[\w.-]{{0,30}}+)"
    r"(\\{0,4}[\"']?\s{0,3}(?:=>|:=|[=:])\s{0,3}|>)"
)
_VALUE = re.compile(
    r"\\{1,4}\"(?:[^\"\\\n]|\\(?!\\{0,3}\")){0,8000}+|\"(?:[^\"\\\n]|\\.){0,8000}+\"?"
    r"|'(?:[^'\\\n]|\\.){0,8000}+'?|[^\s\"'&;,<>)\]}\\][^\s\"'&;,<>)\]}]{0,8000}+"
)
_BEFORE = re.compile(r"[\w.:-]{0,40}$")
_QUOTE = re.compile(r"\\{0,4}[\"']")
_HEADER = re.compile(
    r"(?i)((?:proxy-)?authorization[\"']?\s{0,3}[:=]\s{0,3}[\"']?)"
    r"(?:((?:basic|bearer|digest|negotiate|token|apikey|aws4-hmac-sha256)\s{1,3})"
    r"([^\"'\n]{1,8000}+)"
    r"|([^\s\"',]{1,8000}+(?:\s(?!\w{1,40}=[^=\s])[^\s\"',]{6,8000}+)?))"
    r"|((?:set-)?cookie[\"']?\s{0,3}:\s{0,3}[\"']?)([\w.!#$%&*+^`|~-]{1,200}=[^\"'\n]{1,8000}+)"
)
_SCHEME = re.compile(r"(?i)\b(bearer|basic)(\s{1,3})([A-Za-z0-9._~+/=-]{8,8000}+)")
_SQL = re.compile(
    r"(?i)((?:\bpassword|\bidentified by)\s{1,3})('(?:[^'\n]){1,400}+'?)(?!\s{0,2}[:=])"
)

# ---- arguments of programs

_GAP = r"(?:=|[\"']?,?\s{1,3}[\"']?|[\"'],[\"'])"
_ARGUMENT = r"([^\s\"',\]]{1,8000}+)"
_OPTION = re.compile(rf"(?<![\w-])(--?[A-Za-z][\w-]{{1,40}}+)({_GAP})(?!-){_ARGUMENT}")
_PAIR = re.compile(
    rf"(?<![^\s\"'\[,])(-[uUa]|--(?:proxy-)?user|--auth)({_GAP}?)([^\s:\"',/]{{1,80}}):{_ARGUMENT}"
)
_PROGRAMS = (
    (
        re.compile(r"\b(?:mysql|mariadb|mycli)"),
        re.compile(rf"(?<![^\s\"'\[,])(-p)([\"']?){_ARGUMENT}"),
    ),
    (
        re.compile(r"\b(?:sshpass|mongo|rabbitmq|7z|docker login|podman login|check_(?:my|pg)sql)"),
        re.compile(rf"(?<![^\s\"'\[,])(-p)({_GAP}?)(?!-){_ARGUMENT}"),
    ),
    (
        re.compile(r"\b(?:redis-cli|valkey-cli|keydb-cli)"),
        re.compile(rf"(?<![^\s\"'\[,])(-a)({_GAP})(?!-){_ARGUMENT}"),
    ),
    (
        re.compile(r"\b(?:ldap\w{3,}|mosquitto_\w+|zip\b|influx|snmp\w+)"),
        re.compile(rf"(?<![^\s\"'\[,])(-[wPAX])({_GAP})(?!-){_ARGUMENT}"),
    ),
    (re.compile(r"\bopenssl\b|-passin|-passout"), re.compile(rf"\b(pass)(:){_ARGUMENT}")),
)
_PROGRAM_WORDS = (
    "mysql", "mariadb", "mycli", "sshpass", "mongo", "rabbitmq", "7z", " login", "check_", "-cli",
    "ldap", "mosquitto", "zip", "influx", "snmp", "pass:",
)  # fmt: skip

_PEM = re.compile(
    r"(-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----)"
    r"(?:[^-]|-(?!----END)){0,20000}+(-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----)?"
)

_PROSE = re.compile(
    r"(?i)(?:expired?|invalid|missing|required|not|no|none|null|nil|true|false|unknown|wrong|bad"
    r"|empty|denied|failed|failure|is|was|are|must|should|could|can|cannot|can't|unable|the|an?|it"
    r"|this|that|please|too|unexpected|malformed|revoked|rejected|incorrect|mismatch|error|ok|yes"
    r"|to|or|and|if|when|with|for|in|of|from|by|on|option|instead|unset|set|unauthorized|forbidden"
    r"|try|use|see|contact|permission|access|user|only|allowed|granted|passed|successful)[.!?]?"
)
_SCHEMES = ("basic", "bearer", "digest", "negotiate", "token", "apikey", "aws4-hmac-sha256")
_WORD = re.compile(r"[a-z]{1,20}[.,!?]?")
_NEXT_WORD = re.compile(r"[ ]([a-z]{1,20})(?![\w:=])")


def look_for(text: str, found: Found | None = None) -> str:
    """A text without what looks like a secret."""
    if not ("=" in text or ":" in text or "-" in text or "'" in text or ">" in text) and (
        len(text) < 20 or _LONG.search(text) is None
    ):  # most texts end here
        if "earer" not in text and "asic" not in text:
            return text
        return _SCHEME.sub(lambda match: _scheme(match, found), text)
    low = text.lower()
    for trigger in _TRIGGERS:
        if trigger in low:
            break
    else:
        return _TOKENS.sub(HIDDEN, text) if _LONG.search(text) else text
    if "private key" in low:
        text = _PEM.sub(rf"\1 {HIDDEN} \2", text)
    if "://" in text:
        text = _URL.sub(lambda match: _url(match[0], found), text)
    if _LONG.search(text):
        text = _TOKENS.sub(lambda match: _told(match[0], found), text)
    if "authorization" in low or "cookie" in low:
        text = _HEADER.sub(lambda match: _header(match, found), text)
    if "bearer" in low or "basic" in low:
        text = _SCHEME.sub(lambda match: _scheme(match, found), text)
    if "=" in text or ":" in text or ">" in text:
        text = _assigned(text, found)
    if "'" in text and ("password" in low or "identified" in low):
        text = _SQL.sub(rf"\1{HIDDEN}", text)
    return _arguments(text, low, found) if "-" in text else text


def _told(secret: str, found: Found | None, shown: str = HIDDEN) -> str:
    if found is not None and (plain := secret.strip("\\\"'")) != HIDDEN:
        found(plain)
    return shown


def _url(text: str, found: Found | None) -> str:
    """``://…`` up to the end of the word. A password may hold everything, ``@`` included."""
    if "@" not in text:
        return text
    pieces, done = [], 0
    last = text.rfind("@")
    while 0 <= (at := text.find("://", done)) < last:
        begin = at + 3
        user = re.compile(r"[^/:@?#]{0,200}+").match(text, begin)
        end = begin if user is None else user.end()
        pieces.append(text[done:end])
        done = end
        if text[end : end + 1] == ":" and not _PORT.match(text, end + 1):
            # Another URL in the same word has an @ of its own.
            following = text.find("://", end)
            stop = last if following < 0 else text.rfind("@", end, following)
            stop = last if stop < 0 else stop
            pieces.append(":" + _told(text[end + 1 : stop], found))
            done = stop
        elif text[end : end + 1] == "@" and _BARE.fullmatch(text, begin, end):
            pieces[-1] = pieces[-1][: begin - end] + _told(text[begin:end], found)
    return "".join(pieces) + text[done:]


def _header(match: re.Match[str], found: Found | None) -> str:
    before, scheme, credential, alone, cookie, content = match.groups()
    if cookie is not None:
        return cookie + _told(content, found)
    if not any(letter.isalnum() for letter in credential or alone):
        return match[0]
    if scheme is not None:
        return f"{before}{scheme}{_told(credential, found)}"
    if _PROSE.fullmatch(alone.split()[0]):
        return match[0]
    return before + _told(alone, found)


def _scheme(match: re.Match[str], found: Found | None) -> str:
    """``Bearer abc123…``, but not ``basic authentication``."""
    word, blank, credential = match.groups()
    if credential.rstrip(".").isalpha() and len(credential) < 20 and not _mixed(credential):
        return match[0]
    if "-" in credential and re.fullmatch(r"[a-z-]{1,40}\.?", credential):  # bearer-only
        return match[0]
    return f"{word}{blank}{_told(credential, found)}"


def _mixed(text: str) -> bool:
    return not (text.islower() or text.isupper() or text.istitle())


def _assigned(text: str, found: Found | None) -> str:
    """``key = value`` in the ways of shells, JSON, YAML, Python, XML. What is no secret is only
    passed over up to its value, which may hold another key."""
    pieces, done, at = [], 0, 0
    while (match := _KEY.search(text, at)) is not None:
        at = match.end()
        value = _VALUE.match(text, at) if _is_key(match, text) else None
        if value is None or _is_harmless(match, value):
            continue
        opening = _QUOTE.match(value[0])
        quote = "" if opening is None else opening[0]
        closed = quote if quote and value[0][len(quote) :].endswith(quote) else ""
        pieces += [text[done:at], quote, _told(value[0], found), closed]
        done = at = value.end()
    return "".join(pieces) + text[done:] if pieces else text


def _is_key(match: re.Match[str], text: str) -> bool:
    before = _BEFORE.search(text, max(0, match.start() - 40), match.start())
    begin = match.start() if before is None else before.start()
    if match[2] == ">" and text[begin - 1 : begin] != "<":
        return False
    return is_secret_name(text[begin : match.end(1)])


def _is_harmless(match: re.Match[str], value: re.Match[str]) -> bool:
    """Whether a value is none: a placeholder, a count, a scheme, or a sentence that goes on."""
    (key, between), word, text = match.groups(), value[0], match.string
    key = key.lower()
    if HIDDEN in word or word.startswith(("$", "{{", "%s", "<", "=")) or word in ('""', "''"):
        return True
    if word.isdigit() and len(word) < 6 and (key.endswith("s") or key == "sig"):
        return True  # ``pass``, ``tokens``
    if key == "pwd" and word.startswith("/"):  # a directory
        return True
    if word.lower() in _SCHEMES:
        return True
    if ":" not in between or between[0] in "\"'\\" or word[0] in "\"'\\":
        return False
    # ``password: x`` of YAML, or a sentence such as ``invalid token: it has expired``.
    if _PROSE.fullmatch(word) or (between == ":" and word.startswith("//")):
        return True
    if _WORD.fullmatch(word) is None:
        return False
    spoken = text[max(0, match.start() - 2) : match.start()]
    noun = key in ("secret", "token", "cookie", "credential") and spoken[:1].isalpha()
    return (noun and spoken.endswith(" ")) or _NEXT_WORD.match(text, value.end()) is not None


def _arguments(text: str, low: str, found: Found | None) -> str:
    def option(match: re.Match[str]) -> str:
        name, gap, value = match.groups()
        if not is_secret_name(name.lstrip("-")) or _PROSE.fullmatch(value) or HIDDEN in value:
            return match[0]
        return f"{name}{gap}{_told(value, found)}"

    def pair(match: re.Match[str]) -> str:
        name, gap, user, password = match.groups()
        if name in ("-a", "--auth") and "check_" not in low and "http" not in low:
            return match[0]
        if (user + password).isdigit() or HIDDEN in password or password.startswith("//"):
            return match[0]
        return f"{name}{gap}{user}:{_told(password, found)}"

    def short(match: re.Match[str]) -> str:
        return match[1] + match[2] + _told(match[3], found)

    text = _PAIR.sub(pair, _OPTION.sub(option, text))
    for word in _PROGRAM_WORDS:
        if word in low:
            break
    else:
        return text
    for program, secret in _PROGRAMS:
        if (named := program.search(text)) is not None:
            text = text[: named.start()] + secret.sub(short, text[named.start() :])
    return text
