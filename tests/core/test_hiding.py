"""Hiding secrets and harmful characters, as one module does it for everything."""

from __future__ import annotations

import base64
import html
import json
import secrets
import sys
import time
import unicodedata
from collections.abc import Callable
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.hidden import hide_only
from tocsin.core.hiding import Known, clean, clean_data, hide, is_secret_name, parts_of, visible
from tocsin.core.hiding import text as cleaning
from tocsin.core.hiding.data import clean_arguments

S = "Zx9kQ2vLm7"
"""A secret that nobody has told tocsin of."""

KNOWN = "pa/ss?wo[rd@x9"
"""One that the configuration holds."""

SHAPES = [
    "password={}", "PGPASSWORD={} psql -h db", '{{"password": "{}"}}',
    "{{'password': '{}', 'x': 1}}",
    "password: {}", "  db_password: {}", "SECRET_KEY={}", "aws_secret_access_key = {}",
    "X-Api-Key: {}", "Set-Cookie: sid={}; Path=/", "Cookie: a=b; sid={}", "Authorization: {}",
    "Authorization: Bearer {}", "authorization=Basic {}==", "sent Bearer {}",
    "postgres://app:{}@db/x", "redis://:{}@cache:6379/0", "amqp://u:{}/x?y[z@mq/v",
    "https://{0}{0}{0}@g.com",
    "GET /x?token={}&a=1", "https://h/x?a=1&sig={}", "mysql --password {} -u root",
    "mysqldump -uroot -p{} db", "mysqladmin ping -p'{}'", "curl -u bob:{} https://x",
    "curl --user bob:{}",
    'curl -H "Authorization: Bearer {}" x', "curl -H 'X-Api-Key: {}' x", "redis-cli -a {} ping",
    '["redis-cli", "-a", "{}"]', '["mysql","--password","{}"]', "--api-key={}", "--token {}",
    "ALTER USER a PASSWORD '{}'", "IDENTIFIED BY '{}'", '{{\\"password\\": \\"{}\\"}}',
    "<password>{}</password>", "<db:password>{}</db:password>", "password => {}", "password := {}",
    "DB_PASS={}", "sshpass -p {} ssh x", "mongosh -p {}", "dbPassword={}", "client_secret={}",
    "AccountKey={}",
    "openssl -passin pass:{}", "ldapsearch -w {} -x", "check_http -a bob:{}", "JWT_SECRET={}",
    "private_key={}", "token_count=5 token={}", "token_type='token={}'", "refresh_token: {}",
    "Password={};Server=db", "passphrase: '{}'", "x-auth-token: {}", "smtp_pass={}",
    "x --db.password {}", "redis-server --requirepass {}", "redis-cli -a{} ping", "SSHPASS={}",
    "curl -sfu bob:{} http://h", "curl -u bob:'{}' h", 'curl -u bob:"{}" h', "curl -b sid={} h",
    "x --password 'a {}'", "skopeo copy --src-creds bob:{} a b", "creds=bob:{}", "bind_pw: {}",
    "rabbitmqctl add_user bob {}", "rabbitmqctl change_password bob {}", "ldapsearch -w{} -x",
    "helm registry login -u a -p {} reg", "sqlcmd -S h -U sa -P {}", "unzip -P {} a.zip",
    "keytool -storepass {}", "mosquitto_pub -P{} -t x", "smbclient //h/s -U bob%{}",
    '["docker","login","-p","{}"]', '["curl","--oauth2-bearer","{}"]', "userPass={}", "PW={}",
    "['rabbitmqctl', 'add_user', 'bob', '{}']", "APP_KEY=base64:{}=", "HMAC_KEY={}",
    'IDENTIFIED BY "{}";', "IDENTIFIED WITH mysql_native_password BY '{}'", "PASSWORD('{}')",
    "SET PASSWORD FOR 'a' = '{}'", 'curl -H "Ocp-Apim-Subscription-Key: {}" h',
    "curl -H X-Api-Key:{} h", "bob:{}@tcp(db:3306)/app", "{{'password': b'{}'}}",
    '{{"passwords": ["{}", "b"]}}',
    '{{"token": {{"value": "{}"}}}}', "C {{ password: Some(\"{}\") }}",
    "[password] => {}", 'password="""{}"""', "password: !secret {}", "password: |\n  {}",
    '<password type="x">{}</password>', "<password><![CDATA[{}]]></password>",
    '<property name="password" value="{}"/>', '<property name="password">{}</property>',
    '{{"name": "DB_PASSWORD", "value": "{}"}}', "- name: DB_PASSWORD\n  value: {}",
    "&quot;password&quot;:&quot;{}&quot;", "&lt;password&gt;{}&lt;/password&gt;", "password%3D{}",
    "%22password%22%3A%22{}%22", "password\\u003d{}", 'Authorization: Digest a="b", response="{}"',
    "[('X-Api-Key', '{}')]", "(b'authorization', b'Bearer {}')", "cookies={{'sid': '{}'}}",
    "JSESSIONID={}", "password=abc,{}", "password=abc;{}", "password=abc){}", "password=abc'{}",
    "password=$2b$10${}", "password=={}", "password=***{}", "password=%s{}",
]  # fmt: skip

SPOKEN = [
    "password {}",
    "the password is {}",
    'invalid password "{}"',
    "requirepass {}",
    "AUTH {}",
    "machine h login bob password {}",
    "aws configure set aws_secret_access_key {}",
    "[Entrypoint]: MYSQL_ROOT_PASSWORD {}",
    "https://h/x?code={}&a=b",
    "https://h/x?key={}",
    '{{"auths": {{"h": {{"auth": "{}="}}}}}}',
]
"""Hidden where it is no word."""

TOKENS = [
    "AKIAIOSFODNN7EXAMPLE", "ghp_" + "a1B2" * 9, "github_pat_" + "a1B2_" * 8,
    "xoxb-123456789012-abcdefGHI",
    "sk_live_abcdefghijklmn1234", "123456789:" + "Ab3-" * 9, "bot12345678:" + "Ab3_" * 9,
    "AIza" + "aB3" * 11 + "aa", "npm_" + "a1" * 18, "pypi-" + "AgEI" * 10, "glpat-" + "a1B2" * 5,
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.sflKxwRJSMeKKF2QT4", "tocsin_" + "aB3_" * 8,
    "https://hooks.slack.com/services/T0AAAAAAA/B0AAAAAAA/aaaabbbbccccddddeeee",
]  # fmt: skip

SENTENCES = [
    "token expired", 'password authentication failed for user "app"', "secret not found",
    "author: Bob",
    "Cookie consent", "invalid token: expired", "wrong password: user bob is locked", "tokens: 17",
    'secret "db-creds" not found', "basic authentication failed", "Bearer authentication required",
    "http://host:8080/users/bob@example.org", "pass: 3 fail: 0", "tests pass=3 fail=0",
    "token_count=5",
    "password_file=/run/x", "docker run -u 1000:1000 x", "missing key: name", "primary key: id",
    "connect to db.internal.example.org:5432 failed: [Errno 111]", "sha256:" + "ab12" * 16,
    "password: must be at least 8 characters", "token: cannot decode it", "no such secret: db",
    "cookie: consent banner shown", "Authorization: required", "use --password to give it",
    "mkdir -p /tmp/x", "known are http, postgres-query", "secret: not found", "compass=north",
    "GET /a/b?page=2&size=10 200 12ms", "trace=4bf92f3577b34da6a3ce929d0e0e4736",
    "ssh -p 2222 host",
    "PWD=/usr/src/app", "docker login --password-stdin registry.example", "ended with sig=11",
    "cp -a a:b c",
    "mysql: [Warning] Using a password on the command line interface can be insecure.",
    "Access denied for user 'root'@'localhost' (using password: YES)", "keyboard: us",
    "bypass: true",
    "permission denied for secret \"x\"",
    "the token is not valid; send one as 'Authorization: Bearer …'",
    "HTTP 401: the token is missing", "unexpected token < in JSON at position 0",
    "2 passed, 1 failed",
    "the Docker Engine at unix:///var/run/docker.sock cannot be queried", "author=Bob signed-off",
    "checkpoint complete: wrote 41 buffers (0.3%); sync=0.010 s", "key 'a-b' exists",
    "user=bob op=login",
    "token-service: started", "cookie-consent: loaded 3 files", "authorization=none",
    "--- PASS: TestLogin (0.00s)", "max_tokens: 200000", "tokens_per_second=42.1",
    "docker run -u app:app x", "docker run -p 8080:80 nginx", "unexpected token: '}'",
    "mounting secret: /run/secrets/db", "secretRef: db", "api_keys_total=3", "signature: valid",
    "private key: /etc/ssl/private/x.key", "--passwordfile=/x", "tokenizer: bpe", "tokenize=true",
    "tokens=[1, 2, 3]", "--api-key-header X-Api-Key", "--cookie-secure=true",
    "rabbitmqctl -p / list_queues", '{"token": null, "password": false}', "password=%(password)s",
    "Config(password=None, user='x')", "at com.example.Token.parse(Token.java:42)",
    'password = os.environ["X"]', "oauth2: cannot fetch token: 400 Bad Request",
    "cannot read password: EOF", "decrypt secret: cipher: message authentication failed",
    "reset password: http://h/reset", "token: https://h/oauth/token", "io.example.secret=true",
    "image=registry/secret-service:1.2", 'POST /api/password HTTP/1.1" 200',
    "mysqld: started -p3306", "docker compose -p mysql up", "password=<redacted>",
    "nginx@sha256:" + "9f86d081" * 8, "550e8400-e29b-41d4-a716-446655440000",
]  # fmt: skip


@pytest.fixture(autouse=True)
def _known(monkeypatch: pytest.MonkeyPatch) -> None:
    hide_only(monkeypatch, {KNOWN, *parts_of("123456789:" + "Qw3-" * 9), "postgres", "12345"})


@pytest.mark.parametrize("shape", SHAPES)
def test_a_secret_is_hidden_where_it_stands_as_one(shape: str) -> None:
    """Whoever it belongs to, and though it may be an ordinary word; what surrounds it stays."""
    words = () if shape.startswith("sent") else ("postgres",)
    for secret in (S, *words, secrets.token_urlsafe(12).replace("-", "x")):
        shown = clean(shape.format(secret))
        assert "***" in shown
        assert secret not in shown.replace("postgres://", "")
    assert clean(clean(shape.format(S))) == clean(shape.format(S))


@pytest.mark.parametrize("shape", SPOKEN)
def test_what_is_no_word_is_hidden_where_a_secret_is_spoken_of(shape: str) -> None:
    """Without a sign between the key and it."""
    assert S not in clean(shape.format(S))


@pytest.mark.parametrize("token", TOKENS)
def test_a_token_is_known_by_its_shape(token: str) -> None:
    """Anywhere in a text, whatever stands before it."""
    for text in (token, f"failed: {token}.", f'"{token}"', f"x={token}&y"):
        assert token not in clean(text)
        assert token[-12:] not in clean(text)


ESCAPED: dict[str, Callable[[str], str]] = {
    "repr": lambda text: repr(f"ok\n{text}"),
    "bytes": lambda text: repr(b"ok\r\n" + text.encode()),
    "tab": lambda text: repr(f"ok\t{text}"),
    "bell": lambda text: repr(f"ok\x07{text}"),
    "json": lambda text: json.dumps({"log": f"ok\n{text}"}),
    "separator": lambda text: json.dumps(f"ok\u2028{text}"),
    "json twice": lambda text: json.dumps(json.dumps(f"ok\n{text}")),
    "percent": lambda text: quote(f"ok\n{text}"),
    "colours": lambda text: repr("ok\n\x1b[1m" + text.replace("=", "\x1b[0m=")),
    "octal": lambda text: "ok \\033[1m" + text.replace("=", "\\033[0m="),
    "bytes of no width": lambda text: repr(f"ok \u200b{text[:3]}\u200b{text[3:]}".encode()),
    "html": lambda text: f"ok&#10;{html.escape(text)}",
}


@pytest.mark.parametrize("how", ESCAPED)
def test_a_secret_in_an_escaped_text_is_hidden(how: str) -> None:
    r"""``\\nBearer abc``: the letter of an escape is no part of the word after it."""
    escape = ESCAPED[how]
    texts = [(shape.format(S), S) for shape in (*SHAPES, *SPOKEN)]
    texts += [(token, token[-12:]) for token in TOKENS]
    assert [text for text, secret in texts if secret in clean(escape(text))] == []


@pytest.mark.parametrize("how", ["repr", "tab", "bell"])
def test_ordinary_sentences_stay_though_they_are_escaped(how: str) -> None:
    """Reading a text as it was before takes none of it for a secret that is none."""
    changed = [s for s in SENTENCES if "***" in clean(ESCAPED[how](s))]
    assert changed == []


@pytest.mark.parametrize("before", SHAPES)
def test_a_secret_does_not_hide_the_name_of_the_next(before: str) -> None:
    """What follows one secret in its line is hidden by a name of its own, or stays."""
    for after in ("DB_PASSWORD='{}'", 'x-api-key: "{}"', "--token '{}'"):
        text = f"{before.format(S)} then {after.format('Yq8_wJ4mNc')}"
        assert "Yq8_wJ4mNc" not in clean(text), text


def test_what_surrounds_an_escaped_secret_stays() -> None:
    """A line in JSON is still to be read; where a secret is not written out, nothing is shown."""
    line = '{"level": "error", "msg": "denied\\nAuthorization: Bearer a8Kx92mQz71", "code": 401}'
    assert clean(line) == line.replace("a8Kx92mQz71", "***")
    assert clean(r"b'got AKI\xe2\x80\x8bAIOSFODNN7EXAMPLE'") == "***"


def test_many_escaped_secrets_hide_the_whole_text() -> None:
    """One by one they would take long to hide."""
    tokens = "\\n".join(f"ghp_{number:020d}" for number in range(100))
    assert clean(tokens) == "***"


@pytest.mark.parametrize("secret", ["Passw0rd12!restofit", 'Passw0rd12"rest', "a7b8c9d0e1%rest"])
def test_a_secret_does_not_hide_half_of_itself(secret: str) -> None:
    """Written otherwise (``%21``) it begins alike, and is no cut one."""
    assert Known([secret]).hide(f"x {secret} y") == "x *** y"


@pytest.mark.parametrize("sentence", SENTENCES)
def test_ordinary_sentences_stay_as_they_are(sentence: str) -> None:
    """What merely speaks of secrets is read as it was written."""
    assert clean(sentence) == sentence


@pytest.mark.parametrize("between", ["', '", '", "', '",\n  "'])
@pytest.mark.parametrize("end", ["\n", "\\n", "\\\\n", "WORDS"])
def test_a_key_that_a_command_lines_words_are_made_of(between: str, end: str) -> None:
    """A list of words, as Python and JSON write it, is also read as the line it was: neither a key
    nor a token in it shows; what is around it does."""
    line = "-----BEGIN PRIVATE KEY-----", S, S, "-----END PRIVATE KEY-----"
    words = " ".join(line).split() if end == "WORDS" else end.join(line).split(" ")
    quote = between[0]
    told = clean(f"got [{quote}/bin/x{between}{between.join(words)}{quote}] in tocsin.toml")
    assert S not in told
    assert "/bin/x" in told
    assert told.endswith("in tocsin.toml")
    listed = between.join(["curl", "-H", "Authorization:", "Bearer", S, "example"])
    assert S not in clean(f"{quote}{listed}{quote}")


def test_a_key_in_pem_is_hidden_over_its_lines() -> None:
    """From its first line to its last, or to the end of what there is."""
    key = f"-----BEGIN RSA PRIVATE KEY-----\n{S}\n{S}\n-----END RSA PRIVATE KEY-----"
    assert clean(f"a {key} b", lines=True).startswith("a -----BEGIN RSA PRIVATE KEY----- ***")
    for text in (key, key[:-30]):
        assert S not in clean(text, lines=True)
        assert S not in clean(text)


def test_an_ordinary_word_is_no_secret_in_a_sentence() -> None:
    """The password ``postgres`` leaves sentences readable; one that stands out is hidden."""
    assert clean("known are http, postgres-query; pid 12345") == (
        "known are http, postgres-query; pid 12345"
    )
    assert clean("postgresql://postgres:postgres@db") == "postgresql://postgres:***@db"
    assert clean(f"it said {KNOWN}") == "it said ***"


_LETTERS = st.characters(min_codepoint=33, max_codepoint=0x17F, exclude_categories=("Cc", "Cf"))
SECRETS = st.text(_LETTERS, min_size=10, max_size=40).filter(
    lambda s: any(c.isdigit() for c in s) and any(c.isalpha() for c in s) and "*" not in s
)


@settings(max_examples=150, deadline=None)
@given(SECRETS, st.sampled_from(["", "app", "a:b"]))
def test_a_known_secret_is_hidden_however_it_is_written(secret: str, user: str) -> None:
    """In URLs, JSON, HTML, Python, hexadecimal, and Base64 together with any user."""
    known = Known([secret])
    pair = base64.b64encode(f"{user}:{secret}".encode()).decode()
    inner = pair[(8 * len(user) + 8 + 5) // 6 : -4].rstrip("=")
    written = [
        secret, quote(secret), quote(secret, safe=""), json.dumps(secret), repr(secret)[1:-1],
        html.escape(secret), secret.encode().hex(), f"x{secret}y", f"\n{secret}\n",
    ]  # fmt: skip
    for text in written:
        assert secret not in known.hide(text)
        assert "***" in known.hide(text)
    assert inner[2:-2] not in known.hide(f"Basic {pair}")


@pytest.mark.parametrize(
    ("whole", "part"),
    [
        ("postgresql://app:S3cr3tpass@db:5432/x", "S3cr3tpass"),
        ("postgresql://app:S3cr3t%2Fpass@db/x", "S3cr3t/pass"),
        ("postgresql://app:S3cr3t/pa?s1234s@db/x", "s1234s"),
        ("host=db user=app password=S3cr3tpass dbname=x", "S3cr3tpass"),
        ("123456789:AAE-abcdefghijklmnopqrstuvwxyz012345", "AAE-abcdefghijklmnopqrstuvwxyz012345"),
        ("Bearer abc123def", "abc123def"),
        ("Basic " + base64.b64encode(b"bob:S3cr3tpass").decode(), "S3cr3tpass"),
        ("https://h.example/hook/0123456789abcdef0123", "0123456789abcdef0123"),
        ("https://h.example/hook?key=Abc123xyz", "Abc123xyz"),
        ("sid=S3cr3tpass; theme=dark", "sid=S3cr3tpass; theme=dark"),
        ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
        ("S3cr3tpass\n", "S3cr3tpass"),
    ],
)
def test_a_part_of_a_secret_is_a_secret(whole: str, part: str) -> None:
    """The password in a URL, what follows ``Bearer``, the token behind the bot's number."""
    known = Known(parts_of(whole))
    assert part not in known.hide(f"it said: {part}")


def test_the_host_of_a_url_is_no_secret() -> None:
    """A message that names the server stays readable."""
    known = Known(parts_of("postgresql://app:S3cr3tpass@db.internal.example:5432/shop"))
    text = "no connection to db.internal.example:5432/shop as app"
    assert known.hide(text) == text


def test_many_secrets_are_found_as_well_as_few() -> None:
    """Past a number of forms they are looked for by their beginnings."""
    made = [secrets.token_urlsafe(16) for _ in range(300)]
    known = Known(made)
    for one in made:
        assert known.hide(f"a {one} b") == "a *** b"
    assert known.hide("nothing of them") == "nothing of them"


def test_the_beginning_of_a_url_is_no_half_of_a_secret() -> None:
    """A long text that ends in a word with which a configured secret begins stays as it is."""
    known = Known([*parts_of("postgresql://app:S3cr3tpass@db/x"), *parts_of("Bearer abc123def4")])
    for end in ("postgresql", "postgresql:", "postgresql://", "Bearer", "S3cr"):
        text = "x" * 200 + f" it ends with {end}"
        assert known.hide(text) == text
    assert "S3cr3tp" not in known.hide("x" * 200 + " it ends with S3cr3tp")


def test_half_a_secret_is_none_either() -> None:
    """Where a text was cut, by us or by whoever wrote it, no part of a secret is left."""
    for cut in range(7, len(KNOWN)):
        text = "x" * 200 + " " + KNOWN[:cut]
        assert KNOWN[:7] not in clean(text)
        assert KNOWN[:7] not in clean(text + "…")
        assert KNOWN[-7:] not in clean(
            KNOWN[cut - len(KNOWN) - 1 :][-max(7, cut) :] + " " + "x" * 200
        )
    for longest in range(300, 330):
        shown = clean("y" * 305 + f" {KNOWN} " + "z" * 5000, longest=longest)
        assert KNOWN[:6] not in shown
        assert len(shown) < longest + 60


def test_half_a_secret_is_hidden_in_mid_text_too() -> None:
    """Whoever cut an error or an answer goes on with words of his own."""
    for text in ("raised X: {} while it began", "got b'{}'", "a {}… (12 more bytes)", "{}"):
        for size in range(8, len(KNOWN) + 1):
            assert clean(text.format(KNOWN[:size])) == text.format("***")
    many = [KNOWN, *(secrets.token_urlsafe(16) for _ in range(100))]
    assert Known(many).hide(f"got {KNOWN[:9]}; bye") == "got ***; bye"
    assert clean(f"raised X: cannot open postgres://app:{S} while it began") == (
        "raised X: cannot open postgres://app:*** while it began"
    )
    for text in ("http://h:8080 x", "http://[::1]:80", "tcp://h:99999: no", "http://h:$PORT1"):
        assert clean(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[1;31mred\x1b[0m", "red"),
        ("\x1b]8;;https://x\x07link\x1b]8;;\x1b\\ end", "link end"),
        ("\x1b]0;title", "0;title"),
        ("\x9b31mred", "red"),
        ("a\x1b", "a"),
        ("pass\x1b[0mword=x", "password=***"),
        ("\x1b password=a7x", "assword=***"),  # a terminal takes the p for a part of a sequence
        ("\x9bmysql -uroot -pa7xyz", "ysql -uroot -p***"),
        ("\x1bXpa/ss?wo[rd@x9", "***"),
        ("h\0e\0l\0l\0o", "hello"),
        ("\ufeffze\u200bro", "zero"),
        ("\u202eevil\u2066", "�evil�"),
        ("tag-\udce4", "tag-?"),
        ("bell\x07 back\x08", "bell� back�"),
        ("pa\x08ss\u200eword=x", "password=***"),
        ("p\x08pa\x08ass\u034fwo\ufe0frd=x", "password=***"),
        ("pa/ss?\u202ewo[r\x07d@x9", "***"),
        ("⚠️ x", "⚠️ x"),
        ("a\r\nb\rc\u2028d\x85e", "a\\nb\\nc\\nd\\ne"),
        ("a\tb", "a    b"),
        ("ünïcödé 日本 🚨", "ünïcödé 日本 🚨"),
    ],
)
def test_no_character_does_harm(text: str, shown: str) -> None:
    """Terminal sequences are gone; what is left of controls and bidi marks can be seen."""
    assert clean(text) == shown
    assert clean(clean(text)) == shown


def test_the_unsafe_characters_are_unicodes() -> None:
    """Every character of the categories of controls, formats, surrogates and line separators."""
    for code in range(sys.maxunicode + 1):
        category = unicodedata.category(chr(code))
        if category in ("Cc", "Cf", "Cs", "Zl", "Zp"):
            assert chr(code) not in visible(f"a{chr(code)}")
            assert chr(code) not in clean(f"a{chr(code)}b", lines=True) or chr(code) in "\n\t"
        elif category[0] in "LNP":
            assert visible(chr(code)) == chr(code)


@settings(max_examples=300, deadline=None)
@given(st.text(st.characters(), max_size=400), st.booleans())
def test_any_text_is_clean_after_one_cleaning(text: str, lines: bool) -> None:
    """Nothing raises, and nothing unsafe is left, whatever it was."""
    shown = clean(text, lines=lines)
    rest = shown.replace("\n", "").replace("\t", "") if lines else shown
    assert not any(unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp") for c in rest)


HOSTILE = {
    "urls": "://a:" * 200_000, "ports": "://a:1/" * 140_000 + "@", "userinfo": "://a:b@" * 140_000,
    "at": "@" * 10**6, "jwt": "eyJ-" * 250_000, "dots": "eyJaaaaaa." * 100_000,
    "keys": "password" * 125_000, "assigned": "password=" * 110_000,
    "quoted": "password='" * 100_000,
    "double": 'pwd="' * 200_000, "escaped": 'pwd=\\\\"' * 140_000,
    "harmless": "token_type=" * 90_000,
    "bearer": "bearer " * 140_000, "basic": "basic aaaaaaaa" * 70_000,
    "short": "mysql -p" * 120_000,
    "options": "--a-" * 250_000, "password": "--password " * 90_000, "user": "--user " * 140_000,
    "pem": "-----BEGIN PRIVATE KEY-----" * 40_000,
    "dashes": "-----BEGIN PRIVATE KEY-----" + "-" * 10**6, "digits": "1234567890123456:" * 60_000,
    "esc": "\x1b]" * 500_000, "osc": "\x1b]" + "x" * 10**6, "csi": "\x1b[0" * 330_000,
    "invisible": "\u200b" * 10**6, "pairs": "-u a:" * 200_000,
    "headers": "authorization:" * 70_000,
    "cookies": "cookie: a=" * 100_000, "sql": "password '" * 100_000,
    "blanks": "token" + " " * 10**6,
    "letters": "A" * 10**6, "hooks": "hooks.slack.com/services/" * 40_000,
    "words": "token: it " * 100_000,
    "private": "private_" * 125_000, "gaps": "--password, " * 90_000, "returns": "\r" * 10**6,
    "named": 'name="a" ' * 110_000, "values": "name: password value: " * 45_000,
    "spoken": "password " * 110_000, "query": "?key=a1" + "a" * 10**6, "dsns": "a:b@tcp(" * 120_000,
    "commas": "password=a" + ",b" * 500_000, "brackets": 'password=["' * 90_000,
    "triple": 'password="""' * 90_000, "digest": "authorization: digest " + "a=b," * 250_000,
    "logins": ("docker " + "a" * 60) * 15_000, "attributes": "<password a " * 80_000,
    "overstruck": "a\x08a" * 330_000, "selectors": "a\ufe0f" * 500_000,
    "angles": "<password>" * 100_000, "telegram": "12345:" * 160_000, "sk": "sk-" * 330_000,
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("kind", HOSTILE)
def test_no_text_takes_long(kind: str) -> None:
    """A long text that is made to be slow takes time in proportion to its length: an expression
    that goes back over it again and again would need many minutes."""
    text = HOSTILE[kind]
    text = text[:125_000] + text[-125_000:]
    began = time.thread_time()
    cleaning.SECRETS.clean(text, True)
    assert time.thread_time() - began < 10


def test_data_is_cleaned_by_the_names_in_it() -> None:
    """Keys, environments, arguments in their lists, and texts anywhere; the rest stays."""
    document = {
        "Path": "/usr/bin/redis-server", "Args": ["--requirepass-x", "--port", "1"],
        "Config": {
            "Env": [f"A={S}", "PATH=/bin"], "Cmd": ["redis-cli", "-a", S, "ping"],
            "Entrypoint": ["sh", "-c", f"mysql -p{S} -e 'x'"],
            "Labels": {"db.password": S, "url": f"http://u:{S}@h/", "team": "a"},
            "Healthcheck": {"Test": ["CMD-SHELL", f"mysqladmin ping -p{S}"]},
        },
        "Other": {"Entrypoint": ["curl"], "Cmd": ["-u", f"bob:{S}",
    "-H", f"Authorization: X {S}"]},
        "Split": {"Path": "mysql", "Args": ["-u", "root", f"-p{S}", "--password", S]},
        "Login": {"Cmd": ["docker", "login", f"-p{S}"]}, "User": {"Cmd": ["curl", f"-ubob:{S}"]},
        "Long": {"Cmd": ["curl", f"--user=bob:{S}"]}, "Mongo": {"Cmd": ["mongosh", f"-p{S}"]},
        "Rabbit": {"Cmd": ["rabbitmqctl", "add_user", "bob", S]}, "credentials": {"x": {"y": S}},
        "Variables": [{"name": "DB_PASSWORD", "value": S}],
        "Users": {"basicauth.users": f"bob:$apr1${S}$0123456789"},
        "token": S, "pin": 1234, "nested": {"deep": [[{"secret": [S]}]]},
        "passed": "3 of 4", "token_count": "17",
    }  # fmt: skip
    shown = clean_data(document)
    assert S not in json.dumps(shown)
    assert shown["Config"]["Env"] == ["A=***", "PATH=***"]
    assert shown["Config"]["Cmd"] == ["redis-cli", "-a", "***", "ping"]
    assert shown["Other"]["Cmd"][:2] == ["-u", "bob:***"]
    assert shown["Config"]["Labels"]["team"] == "a"
    assert (shown["passed"], shown["token_count"], shown["pin"]) == ("3 of 4", "17", 1234)
    assert clean_data(shown) == shown


def test_arguments_that_are_none_of_passwords_stay() -> None:
    """A port, a user, a path."""
    for command in (["ssh", "-p", "22", "h"], ["mkdir", "-p", "/x"], ["run", "-u", "1:1"],
                    ["x", "--password-file", "/run/x"], ["tar", "-a", "x"],
                    ["docker", "run", "-p", "8080:80", "-u", "app:app", "mysql"],
                    ["mongod", "-p", "27017"], ["docker-entrypoint.sh", "mysqld", "-p3306"],
                    ["rabbitmqctl", "list_queues", "-p", "myvhost"]):  # fmt: skip
        assert clean_arguments(command) == command


def test_endless_and_odd_data_ends() -> None:
    """What refers to itself, what cannot be shown, what is huge."""
    endless: dict[str, object] = {}
    endless["self"] = endless

    class Odd:
        def __str__(self) -> str:
            raise RuntimeError("no")

    shown = clean_data({"a": endless, "b": Odd(), "c": float("nan"), "d": list(range(10**5))})
    assert len(json.dumps(shown)) < 50_000
    assert shown["b"] == "<Odd whose text cannot be read: RuntimeError>"


def test_data_is_bounded_in_all() -> None:
    """However much there is, and however deep: little time, and what came first is there."""
    wide: object = "password=x " * 300
    for _ in range(4):
        wide = [wide] * 50 + [{"n": wide}]
    began = time.thread_time()
    shown = clean_data(
        {
            "first": "here",
            "list": ["y" * 4000] * 2000,
            "wide": wide,
            "texts": {str(n): "x" * 9999 for n in range(5000)},
        }
    )
    assert time.thread_time() - began < 5
    assert shown["first"] == "here"
    assert len(json.dumps(shown)) < 1_000_000


@pytest.mark.parametrize(
    "name", ["PGPASSWORD", "X-Api-Key", "dbPass", "apiToken", "SECRET_KEY_BASE", "password2",
             "aws_secret_access_key", "Authorization", "client-secret", "privateKey", "DSN",
    "jwt"],
)  # fmt: skip
def test_names_of_secrets(name: str) -> None:
    """However they are put together."""
    assert is_secret_name(name)


@pytest.mark.parametrize(
    "name", ["password_file", "token_count", "passed", "compass", "key", "token_url", "monkey",
             "cookie_domain", "secretName", "author", "keyboard", "tokenType"],
)  # fmt: skip
def test_names_of_no_secrets(name: str) -> None:
    """Words that hold such a word, and what is about a secret and is none."""
    assert not is_secret_name(name)


def test_hiding_alone_leaves_other_characters() -> None:
    """A configuration is shown with its line ends."""
    assert hide(f"a\nb {KNOWN}") == "a\nb ***"


@pytest.mark.parametrize("before", ["- ", "-x ", "-- ", "-\n", "--opt "])
def test_a_token_after_a_dash_at_the_beginning_is_hidden(before: str) -> None:
    """A line that begins like an option or an item of a list is looked through like any other."""
    assert "AKIAPL4NT3D094571234" not in clean(f"{before}AKIAPL4NT3D094571234", lines=True)


@pytest.mark.parametrize(
    "arguments",
    [
        ["curl", "-H", "'Authorization:", "Bearer", "pl4nt3d'", "http://x"],
        ["curl", "-H", "Authorization:", "pl4nt3d"],
        ["curl", "--header", "X-Api-Key:", "pl4nt3d"],
        ["app", "-----BEGIN", "PRIVATE", "KEY-----", "pl4nt3d", "pl4nt3d==", "-----END", "x"],
    ],
)
def test_what_was_taken_apart_at_its_blanks_is_hidden(arguments: list[str]) -> None:
    """A header or a key that is several arguments is hidden as one argument would be."""
    shown = clean_data({"Cmd": arguments})["Cmd"]
    assert "pl4nt3d" not in " ".join(shown)
    assert shown[0] == arguments[0]


def test_ordinary_arguments_after_a_colon_stay() -> None:
    """Only what follows the name of a secret header is taken for one."""
    command = ["curl", "-H", "Accept:", "text/html", "-H", "Host:", "example"]
    assert clean_data({"Cmd": command})["Cmd"] == command


@pytest.mark.parametrize("before", ["\x1b ", "\x1b", "\x1b(", "\x1b# ", "\x1b[", "\x1b[3", "\x9b"])
@pytest.mark.parametrize(
    "secret", ["AKIAIOSFODNN7EXAMPLE", "password=hunter22hunter", "ghp_" + "a1B2" * 9]
)
def test_a_sequence_that_swallows_a_letter_of_a_secret_hides_none_of_the_rest(
    before: str, secret: str
) -> None:
    """A terminal takes the letter behind an escape for a part of it; what is left of the secret
    looks like nothing. What stands behind the secret is there."""
    for lines in (False, True):
        shown = clean(f"see {before}{secret} there", lines=lines)
        value = secret.rpartition("=")[2]
        assert not any(value[at : at + 6] in shown for at in range(len(value) - 5)), shown
        assert shown.endswith("*** there"), shown


@pytest.mark.parametrize(
    "text",
    [
        "p\x1b7assword=Zq7Lm2Xw9Rt4 and api_ke\x1by: Kd83hfQw7Lzp2",
        "https:\x1b7//u:Zq7Lm2Xw9Rt4@h/x and toke\x1b[?25n=Kd83hfQw7Lzp2",
    ],
)
def test_of_two_secrets_each_is_hidden_by_the_reading_that_shows_it(text: str) -> None:
    """What one reading of a text finds is hidden in every other one, too."""
    shown = clean(text)
    assert "Zq7Lm2Xw9Rt4" not in shown
    assert "Kd83hfQw7Lzp2" not in shown


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("\x1b AKIAIOSF\x1b[1mODNN7EXAMPLE there", "ODNN7"),
        ("\x1b password=hun\x1b[31mter22hunter", "ter22"),
        ("\x1b Authorization: Bearer a1b2c3\x1b[0md4e5f6a7b8c9d0", "d4e5f6"),
        ("\x1b[3AKIAIOSF\x1b[1mODNN7EXAMPLE there", "ODNN7"),
        ("pass\x1b[0mword=hunter22 \x1b AKIAIOSFODNN7EXAMPLE", "OSFODNN7"),
        ("Zyxwv\x1b 98765secretive", "765secretive"),
        ("\x1b Zyxwv\x1b[1m98765secretive", "secretive"),
    ],
)  # fmt: skip
def test_neither_do_several_sequences(
    monkeypatch: pytest.MonkeyPatch, text: str, left: str
) -> None:
    """One takes a letter with it, and another one stands within the secret."""
    hide_only(monkeypatch, {"Zyxwv98765secretive"})
    assert left not in clean(text)
    assert "***" in clean(text)
