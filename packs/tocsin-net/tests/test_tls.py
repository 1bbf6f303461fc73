"""The tls probe against nginx, OpenSSL, and servers that misbehave."""

from __future__ import annotations

import asyncio
import datetime
import ssl
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.pki import Pki, server_context
from tests.servers import (
    Handler,
    endless,
    endless_lines,
    free_port,
    half_a_line,
    hangs_up,
    peer,
    program,
    running,
    says,
    silent,
)
from tocsin import Result, Status, Target
from tocsin.testing import check_probe_conformance
from tocsin_net._starttls import StartTls
from tocsin_net.tls import TlsProbe, Version

TARGET = Target(name="t")


def probe(port: int, pki: Pki, **options: Any) -> TlsProbe:
    """Return a probe of a server that is called localhost."""
    return TlsProbe(
        **{"host": "127.0.0.1", "server_name": "localhost", "port": port,
           "ca_file": pki.ca_file, "timeout": 5, **options}
    )  # fmt: skip


async def look(port: int, pki: Pki, **options: Any) -> Result:
    """Run the probe once."""
    return await probe(port, pki, **options).check(TARGET)


def nginx(
    directory: Path, chain: str, key: str, extra: str = "ssl_protocols TLSv1.2 TLSv1.3;"
) -> tuple[list[str], int]:
    """Return the command for an nginx that serves TLS, and its port."""
    port = free_port()
    (directory / "nginx.conf").write_text(f"""\
daemon off;
pid {directory}/pid;
error_log stderr;
events {{}}
http {{
  access_log off;
  client_body_temp_path {directory}/body;
  server {{
    listen 127.0.0.1:{port} ssl;
    server_name localhost;
    ssl_certificate {chain};
    ssl_certificate_key {key};
    {extra}
    return 200;
  }}
}}
""")
    return [program("nginx"), "-c", str(directory / "nginx.conf"), "-p", str(directory)], port


@pytest.mark.parametrize(
    ("days", "options", "status", "words"),
    [
        (60, {}, Status.UP, "has a certificate for another 60 days"),
        (10, {}, Status.DEGRADED, "the certificate ends in 10 days"),
        (10, {"warn_days": 5.0}, Status.UP, "for another 10 days"),
        (2.5, {}, Status.DOWN, "the certificate ends in 2 days"),
        (2.5, {"critical_days": 1.0}, Status.DEGRADED, "the certificate ends in 2 days"),
        (-3, {}, Status.DOWN, "certificate has expired (the certificate ended 2 days ago)"),
        (-3, {"verify": False}, Status.DOWN, "the certificate ended 2 days ago"),
        (60, {"ca_file": None}, Status.DOWN, "the certificate is not valid: unable to get"),
        (60, {"ca_file": None, "verify": False}, Status.UP, "for another 60 days"),
        (60, {"server_name": "other.test"}, Status.DOWN, "Hostname mismatch"),
        (60, {"server_name": "other.test", "verify": False}, Status.UP, "for another 60 days"),
        (60, {"server_name": None, "host": "localhost"}, Status.UP, "for another 60 days"),
        (60, {"server_name": None}, Status.DOWN, "IP address mismatch"),
        (60, {"degraded_above": 0.0}, Status.DEGRADED, "slow"),
    ],
)
async def test_the_certificate_of_nginx(
    pki: Pki, tmp_path: Path, days: float, options: dict[str, Any], status: Status, words: str
) -> None:
    """Chain, name and expiry are judged; the expiry is a metric also of a bad certificate."""
    chain, key = pki.files(pki.issue("localhost", days=days + 0.01), f"nginx{days}")
    command, port = nginx(tmp_path, chain, key)
    with running(command, port, tmp_path):
        result = await look(port, pki, **options)
    assert (result.status, words in result.message) == (status, True), result.message
    assert result.metrics["certificate_expiry_days"] == pytest.approx(days, abs=0.02)
    assert result.attributes["certificate_names"] == ["localhost"]
    assert result.attributes["tls_version"] == "TLSv1.3"
    assert result.attributes["cipher"]
    assert result.attributes["verified"] is (
        options.get("verify", True) and "not valid" not in result.message
    )


async def test_the_oldest_version_that_counts(pki: Pki, tmp_path: Path) -> None:
    """A server that has only TLS 1.2 is up, unless 1.3 is asked for."""
    chain, key = pki.files(pki.issue("localhost"), "old")
    command, port = nginx(tmp_path, chain, key, "ssl_protocols TLSv1.2;")
    with running(command, port, tmp_path):
        usual = await look(port, pki)
        strict = await look(port, pki, min_version=Version.TLS_1_3)
    assert usual.attributes["tls_version"] == "TLSv1.2"
    assert strict.status is Status.DOWN
    assert strict.message.endswith("the server does not use TLS 1.3 or newer")


async def test_a_self_signed_certificate_without_names(pki: Pki, tmp_path: Path) -> None:
    """As devices make them: down when verified, else its expiry is read all the same."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "router\x1b[31m")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=30, hours=1))
        .sign(key, hashes.SHA256())
    )
    files = tmp_path / "self.pem", tmp_path / "self.key"
    files[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    files[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    port = free_port()
    command = [program("openssl"), "s_server", "-accept", f"127.0.0.1:{port}", "-cert",
               str(files[0]), "-key", str(files[1]), "-quiet"]  # fmt: skip
    with running(command, port, tmp_path):
        refused = await look(port, pki)
        taken = await look(port, pki, verify=False)
        trusted = await look(port, pki, ca_file=str(files[0]))
    assert refused.message.endswith("the certificate is not valid: self-signed certificate")
    assert trusted.status is Status.DOWN  # it is for no name
    assert taken.status is Status.UP, taken.message
    for result in (refused, taken):
        assert result.metrics["certificate_expiry_days"] == pytest.approx(30.04, abs=0.02)
    assert "\x1b" not in taken.attributes["certificate_subject"]
    assert taken.attributes["certificate_names"] == []


@pytest.mark.parametrize("protocol", [StartTls.NONE, StartTls.SMTP, StartTls.IMAP])
@pytest.mark.parametrize(
    ("handler", "words"),
    [
        (hangs_up, ("closed early", "reset", "TLS failed: unexpected eof")),
        (half_a_line, ("closed early", "reset", "is not TLS")),
        (silent, ("did not end within 0.5 s", "within 0.5 s")),
        (endless, ("does not end", "is not TLS")),
        (endless_lines, ("more than such a server should", "is not TLS", "a greeting of SMTP",
                         "a greeting of IMAP")),
    ],
)  # fmt: skip
async def test_servers_that_misbehave_are_down(
    pki: Pki, protocol: StartTls, handler: Handler, words: tuple[str, ...]
) -> None:
    """Hanging up, silence and answers without end are told apart, and read only in part."""
    async with peer(handler) as port:
        result = await look(port, pki, starttls=protocol, timeout=0.5)
    assert result.status is Status.DOWN
    assert any(one in result.message for one in words), result.message


async def test_an_endless_answer_to_a_command_is_cut(pki: Pki) -> None:
    """A server that goes on and on inside one answer is left after 64 KiB."""
    many = b"* noise\r\n" * 20_000
    async with peer(says(b"* OK\r\n", many)) as port:
        result = await look(port, pki, starttls=StartTls.IMAP)
    assert result.message.endswith("the server sends more than such a server should")


async def test_nobody_there_is_down(pki: Pki) -> None:
    """A refused connection names host and port."""
    port = free_port()
    result = await look(port, pki)
    assert result.message == f"127.0.0.1:{port}: the connection was refused"
    six = await look(port, pki, host="::1")
    assert six.message.startswith(f"[::1]:{port}: ")


@pytest.mark.parametrize("content", [None, "", "no certificate"])
async def test_a_ca_file_that_cannot_be_used_is_tocsins_trouble(
    pki: Pki, tmp_path: Path, content: str | None
) -> None:
    """Unknown, with the name of the file."""
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_text(content)
    result = await look(free_port(), pki, ca_file=str(file))
    assert result.status is Status.UNKNOWN
    assert str(file) in result.message
    assert "cannot be used" in result.message


async def test_a_ca_file_that_changes_is_read_again(pki: Pki, tmp_path: Path) -> None:
    """A renewed authority counts from the next run on."""
    file = tmp_path / "ca.pem"
    file.write_bytes(Path(pki.ca_file).read_bytes())
    context = server_context(pki.issue("localhost"))
    server = await asyncio.start_server(silent, "127.0.0.1", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    try:
        before = await look(port, pki, ca_file=str(file))
        file.write_text("no certificate any more")
        after = await look(port, pki, ca_file=str(file))
    finally:
        server.close()
    assert (before.status, after.status) == (Status.UP, Status.UNKNOWN)


async def test_it_keeps_to_the_contract(pki: Pki) -> None:
    """It passes the suite that tocsin's own probes pass: up, down and without an answer."""
    context = server_context(pki.issue("localhost"))
    server = await asyncio.start_server(silent, "127.0.0.1", 0, ssl=context)
    try:
        port = server.sockets[0].getsockname()[1]
        assert (await check_probe_conformance(probe(port, pki))).status is Status.UP
        assert (await check_probe_conformance(probe(port, pki, ca_file=None))).status is Status.DOWN
    finally:
        server.close()
    async with peer(silent) as port:
        mute = probe(port, pki, timeout=0.3)
        assert (await check_probe_conformance(mute)).status is Status.DOWN


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"host": "a:443"}, "a port has an option of its own"),
        ({"host": "a", "port": 70000}, "port must be from 1 to 65535"),
        ({"host": "a", "server_name": ".a"}, "write a host name"),
        ({"host": "a", "critical_days": 20.0}, "critical_days must not be more than warn_days"),
    ],
)
def test_wrong_options_are_refused_with_the_remedy(options: dict[str, Any], words: str) -> None:
    """Each wrong option is answered in one sentence."""
    with pytest.raises(ValueError, match=words):
        TlsProbe(**options)


def test_the_machines_authorities_are_trusted_by_default() -> None:
    """Without a file, certificates are verified against those of the machine."""
    assert ssl.get_default_verify_paths().cafile is not None
    assert TlsProbe(host="example.org").network_host(TARGET) == "example.org"
