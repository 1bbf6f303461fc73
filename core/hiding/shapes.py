"""Texts that look like a secret, though they are not in the configuration.

The formats of tokens are those of gitleaks (https://github.com/gitleaks/gitleaks, MIT), taken over
as facts. It is a Go program; detect-secrets, the Python library, applies each of its rules to every
line of source files, depends on requests, and has had no release since 2024.

Every expression takes linear time on any text: repetitions are bounded, possessive, or consume what
was examined.
"""

from __future__ import annotations

import re

from tocsin.core.hiding import names
from tocsin.core.hiding.arguments import hide_arguments, hide_positional
from tocsin.core.hiding.keys import hide_keys
from tocsin.core.hiding.mask import Found, mask, mask_quoted
from tocsin.core.hiding.names import HIDDEN, KEYS, SHORT_KEYS, is_secret_name

_TRIGGERS = (
    "pass", "pwd", "secret", "token", "key", "authori", "cookie", "cred", "dsn", "://", "bearer",
    "basic", "sig", "jwt", " -", "identified", "string", "\"-", "'-",
    "pw", "kennwort", "sessid", "sessionid", "psw", "auth", "@tcp(", "@unix(", "_user",
)  # fmt: skip
_LONG = re.compile(r"\S{20}")

# ---- tokens, by their prefixes

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
    r"|\$(?:apr1|2[abxy]|[156y]|argon2\w{1,2})\$[\w./$=,+-]{8,300}"  # password hashes
    r"|AGE-SECRET-KEY-1[0-9A-Z]{58}|tocsin_[\w-]{20,200}"
    r")"
    r"|(?:hooks\.slack\.com/(?:services|workflows|triggers)"
    r"|discord(?:app)?\.com/api/webhooks|webhook\.office\.com/webhookb2)/[^\s\"'<>]{10,400}+"
)

# ---- URLs: scheme://user:password@host, and a bare token as user

_URL = re.compile(r"://[^\s\"<>`]++")
_PORT = re.compile(r"\d{1,5}(?![^/?#,;'\])}|\\])")
_QUERY = re.compile(
    r"([?&](?:key|code|auth|sid)=)((?=[^\s&#\d]{0,60}\d)(?=[^\s&#a-zA-Z]{0,60}[a-zA-Z])"
    r"[\w.~%+/=-]{8,2000}+)"
)
_CUT_URL = re.compile(  # cut somewhere before its ``@``; a port has no letters
    r"(://[^/:?#\[]{1,200}+:)((?=\D{0,40}\d)(?=[^a-zA-Z]{0,40}[a-zA-Z])[^\s/?#$<{%\]),']{4,400}+)$"
)
_BARE = re.compile(r"[\w.~%-]{20,}")

# ---- key: value

_QUOTED = r"(?:\\{0,4}[\"']|&(?:quot|#3[49]);|\\u0022|%22)"
_BLANKS = r"(?:\s|\\[nrt]|%20){0,6}+"
_KEY = re.compile(
    rf"(?i)((?:{KEYS}|{SHORT_KEYS})(?:(?!%3[ad])[\w.-]){{0,30}}+)"
    rf"({_QUOTED}?\]?{_BLANKS}(?:=>|:=|[=:]|%3[ad]|&#(?:58|61);|\\(?:u00|x)3[ad]){_BLANKS}"
    r"(?:!\w{1,20}\s{1,3}|[|>][-+]?(?:\s|\\n){1,9}+|[a-z]{1,2}(?=[\"'])|(?=\"{3}|'{3}))?"
    r"|[\"'],\s{0,3}b?(?=[\"'])|(?:\s[^<>\n]{0,200}+)?(?:>|&gt;)(?:<!\[CDATA\[)?)"
)
_MORE = (  # a character that ends a value does not if no other key and no end follows
    r"(?:[^\s\"'&;,<>)\]}]|[&;,)\]}](?![\w.-]{0,40}\s{0,3}[=:]|[\s\"'&;,<>)\]}]|$|\w{1,9};)"
    r"|[\"'](?=\w))"
)
_VALUE = re.compile(
    r"\"{3}.{0,8000}?\"{3}|'{3}.{0,8000}?'{3}"
    r"|(?:[\[{(]{1,3}|[A-Z]\w{0,20}\()\s{0,3}b?[\"'][^\]})\n]{0,8000}+[\]})]{0,3}+"
    r"|\\{1,4}\"(?:[^\"\\\n]|\\(?!\\{0,3}\")){0,8000}+|\"(?:[^\"\\\n]|\\.){0,8000}+\"?"
    r"|'(?:[^'\\\n]|\\.){0,8000}+'?|(?:&(?:quot|#3[49]);)?"
    rf"[^\s\"'&;,<>)\]}}\\]{_MORE}{{0,8000}}+"
)
_NAMED = re.compile(  # name and value as separate fields, as in Kubernetes, ECS and XML
    rf"(?i)(\b(?:name|key){_QUOTED}?\s{{0,3}}[=:]\s{{0,3}}{_QUOTED}?)([\w.-]{{1,80}}+)"
    rf"({_QUOTED}?(?:[,;]?(?:\s|\\n){{0,20}}+{_QUOTED}?value{_QUOTED}?\s{{0,3}}[=:]\s{{0,3}}|>))"
    r"(\\{0,4}\"[^\"\n]{0,8000}+|'[^'\n]{0,8000}+|[^\s\"'<>,;&]{1,8000}+)"
)
_GO_DSN = re.compile(r"(?<![^\s\"'`(=])([\w.-]{1,80}+):([^\s\"'`/]{1,400})(?=@(?:tcp|unix)6?\()")
_DOCKER_AUTH = re.compile(
    r"(\"(?:auth|_auth|identitytoken)\\?\"\s{0,3}:\s{0,3}\\?\")([\w+/=-]{8,4000}+)"
)
_SPOKEN = re.compile(  # without a separator: only what is not a word
    r"(?i)((?<![\w/.-])(?:\w{0,40}(?:password|passwd|passphrase|token|secret_access_key)|requirepass|masterauth"
    r"|bindpw|rootpw|auth|pass)(?:\s(?:is|default)\b:?)?\s{1,3}[\"']?)"
    r"((?=[^\s\"'\d]{0,40}\d)(?=[^\s\"'a-z]{0,40}[a-z])(?-i:(?=[^\s\"'A-Z]{0,40}[A-Z]))[^\s\"']{8,400}+)"
)
_BEFORE = re.compile(r"[\w.:-]{0,40}$")
_HEADER = re.compile(
    r"(?i)((?:proxy-)?authorization[\"']?\s{0,3}[:=]\s{0,3}[\"']?)"
    r"(?:(\w[\w-]{1,30}\s{1,3})((?:[\w-]{1,40}=(?:\\?\"[^\"\n]{0,4000}+\"|[^\s,\"']{1,4000}+)"
    r"(?:,\s{0,3}|$|(?=[\"'\n])))+)"
    r"|((?:basic|bearer|digest|negotiate|token|apikey|aws4-hmac-sha256)\s{1,3})"
    r"([^\s\"']{1,8000}+)"
    r"|([^\s\"',]{1,8000}+(?:\s(?!\w{1,40}=[^=\s])[^\s\"',]{6,8000}+)?))"
    r"|((?:set-)?cookie[\"']?\s{0,3}:\s{0,3}[\"']?)([\w.!#$%&*+^`|~-]{1,200}=(?:[^\s\"']|(?<=;)\s){1,8000}+)"
)
_SCHEME = re.compile(r"(?i)\b(bearer|basic)(\s{1,3})([A-Za-z0-9._~+/=-]{8,8000}+)")
_SQL = re.compile(
    r"(?i)((?:\bpassword(?: for [^\s=]{1,100} =)?|\bidentified (?:with \w{1,60} )?(?:by|as))"
    r"(?:\s{1,3}|\s{0,3}\())('[^'\n]{1,400}+'?|\"[^\"\n]{1,400}+\"?)(?!\s{0,2}[:=])"
)


def look_for(text: str, found: Found | None = None) -> str:
    """Return a text without what looks like a secret; ``found`` is called with each secret."""
    if (
        not ("=" in text or ":" in text or "-" in text or "'" in text or ">" in text)
        and (len(text) < 20 or _LONG.search(text) is None)
        and not names.speaks(text.lower())
    ):  # true for most texts
        if "earer" not in text and "asic" not in text:
            return text
        return _SCHEME.sub(lambda match: _scheme(match, found), text)
    low = text.lower()
    for trigger in _TRIGGERS:
        if trigger in low:
            break
    else:
        if _LONG.search(text):
            text = _TOKENS.sub(lambda match: mask(match[0], found), text)
        return hide_arguments(text, low, found) if text[0] == "-" else text
    if "private key" in low:
        text = hide_keys(text, found)
    if "://" in text:
        text = _URL.sub(lambda match: _url(match[0], found), text)
    if _LONG.search(text):
        text = _TOKENS.sub(lambda match: mask(match[0], found), text)
    if "authorization" in low or "cookie" in low:
        text = _HEADER.sub(lambda match: _header(match, found), text)
    if "bearer" in low or "basic" in low:
        text = _SCHEME.sub(lambda match: _scheme(match, found), text)
    text = _assigned(text, found)
    if "?" in text and "=" in text:
        text = _QUERY.sub(lambda match: match[1] + mask(match[2], found), text)
    if ("'" in text or '"' in text) and ("password" in low or "identified" in low):
        text = _SQL.sub(lambda match: match[1] + mask_quoted(match[2], found), text)
    if "name" in low or "key" in low:
        text = _NAMED.sub(lambda match: _named(match, found), text)
    if "@tcp" in low or "@unix" in low:
        text = _GO_DSN.sub(lambda match: f"{match[1]}:{mask(match[2], found)}", text)
    if "auth" in low or "token" in low:
        text = _DOCKER_AUTH.sub(lambda match: match[1] + mask(match[2], found), text)
    text = _SPOKEN.sub(lambda match: match[1] + mask(match[2], found), text)
    if "_user" in low or "change_password" in low:
        text = hide_positional(text, found)
    return hide_arguments(text, low, found) if "-" in text else text


def _named(match: re.Match[str], found: Found | None) -> str:
    before, name, between, value = match.groups()
    if not is_secret_name(name):
        return match[0]
    return f"{before}{name}{between}{mask_quoted(value, found)}"


def _url(text: str, found: Found | None) -> str:
    """Hide the password in ``://…`` up to the end of the word; it may contain any character."""
    if "@" not in text:
        return _CUT_URL.sub(lambda match: match[1] + mask(match[2], found), text)
    pieces, done = [], 0
    last = text.rfind("@")
    while 0 <= (at := text.find("://", done)) < last:
        begin = at + 3
        user = re.compile(r"[^/:@?#]{0,200}+").match(text, begin)
        end = begin if user is None else user.end()
        pieces.append(text[done:end])
        done = end
        if text[end : end + 1] == ":" and not _PORT.match(text, end + 1):
            # Another URL in the same word has its own @.
            following = text.find("://", end)
            stop = last if following < 0 else text.rfind("@", end, following)
            stop = last if stop < 0 else stop
            pieces.append(":" + mask(text[end + 1 : stop], found))
            done = stop
        elif text[end : end + 1] == "@" and _BARE.fullmatch(text, begin, end):
            pieces[-1] = pieces[-1][: begin - end] + mask(text[begin:end], found)
    return "".join(pieces) + text[done:]


def _header(match: re.Match[str], found: Found | None) -> str:
    before, with_parts, parts, scheme, credential, alone, cookie, content = match.groups()
    if with_parts is not None:
        return f"{before}{with_parts}{mask(parts, found)}"
    if cookie is not None:
        return cookie + mask(content, found)
    if not any(letter.isalnum() for letter in credential or alone):
        return match[0]
    if scheme is not None:
        return f"{before}{scheme}{mask(credential, found)}"
    if names.PROSE.fullmatch(alone.split()[0].rstrip("}])")):
        return match[0]
    return before + mask(alone, found)


def _scheme(match: re.Match[str], found: Found | None) -> str:
    """Hide the credential in ``Bearer abc123…``, but not in ``basic authentication``."""
    word, blank, credential = match.groups()
    if (
        credential.rstrip(".").isalpha()
        and len(credential) < 20
        and (credential.islower() or credential.isupper() or credential.istitle())
    ):
        return match[0]
    if "-" in credential and re.fullmatch(r"[a-z-]{1,40}\.?", credential):  # bearer-only
        return match[0]
    return f"{word}{blank}{mask(credential, found)}"


def _assigned(text: str, found: Found | None) -> str:
    """Hide the value in ``key = value`` as in shells, JSON, YAML, Python and XML. A value that is
    no secret is not skipped, since it may contain another key."""
    pieces, done, at = [], 0, 0
    while (match := _KEY.search(text, at)) is not None:
        at = match.end()
        value = _VALUE.match(text, at) if _is_key(match, text) else None
        if value is None or _is_harmless(match, value):
            continue
        pieces += [text[done:at], mask_quoted(value[0], found)]
        done = at = value.end()
    return "".join(pieces) + text[done:] if pieces else text


def _is_key(match: re.Match[str], text: str) -> bool:
    before = _BEFORE.search(text, max(0, match.start() - 40), match.start())
    begin = match.start() if before is None else before.start()
    if match[2].endswith((">", "&gt;", "CDATA[")) and "=" not in match[2][:4]:
        return text[begin - 1 : begin] == "<" or text[begin - 4 : begin] == "&lt;"
    if match[2][1:2] == "," and re.search(r"\(b?[\"']$", text[max(0, begin - 3) : begin]) is None:
        return False  # an element of a pair, not of a list
    return is_secret_name(text[begin : match.end(1)])


def _is_harmless(match: re.Match[str], value: re.Match[str]) -> bool:
    """Return whether a value is no secret: a placeholder, a number, a scheme, or part of a
    sentence."""
    (key, between), word, text = match.groups(), value[0], match.string
    bare, spoken_key, key = word.strip("\"'\\[]{}()"), key, key.lower()
    if bare == HIDDEN or (HIDDEN in word and "://" in word) or not any(map(str.isalnum, word)):
        return True
    if (
        names.PLACEHOLDER.fullmatch(word)
        or word.lower() in names.LITERALS
        or word.lower() in names.SCHEMES
    ):
        return True
    counts = 12 if key.endswith("tokens") else 6 if key.endswith("s") or key == "sig" else 0
    if bare.isdigit() and len(bare) < counts:
        return True  # the number of ``passes`` or ``tokens``
    if key == "pwd" and word.startswith("/"):  # the working directory
        return True
    if ":" not in between or word[0] in "\"'\\":
        return False
    # ``password: x`` of YAML, or a sentence such as ``invalid token: it has expired``.
    if names.PROSE.fullmatch(word) or (between == ":" and word.startswith("//")):
        return True
    if between[0] in "\"'\\":
        return False
    if names.PLACE.fullmatch(word) or spoken_key == "PASS":  # ``PASS: test_one``
        return True
    if names.WORD.fullmatch(word) is None or between == ":":
        return False
    spoken = text[max(0, match.start() - 2) : match.start()]
    noun = key in ("secret", "token", "cookie", "credential") and spoken[:1].isalpha()
    return (noun and spoken.endswith(" ")) or names.NEXT_WORD.match(text, value.end()) is not None
