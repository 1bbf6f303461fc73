"""Certificates and real servers for the tests."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from tests.mail_servers import dovecot, exim
from tests.pki import Pki
from tests.servers import free_port, program, running

__all__ = ["dovecot", "exim"]


@pytest.fixture(scope="session")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    """Return a certificate authority that no system trusts."""
    directory = tmp_path_factory.mktemp("pki")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(directory / "ca.pem"))
    return Pki(authority, directory, str(directory / "ca.pem"))


ZONE = """\
$ORIGIN example.test.
$TTL 300
@      SOA ns1 admin 7 7200 3600 1209600 60
@      NS  ns1
@      MX  10 mail
@      MX  20 mail2
@      TXT "v=spf1 -all"
@      CAA 0 issue "ca.example.net"
ns1    A   127.0.0.1
mail   A   192.0.2.25
mail2  A   192.0.2.26
www    A   192.0.2.80
www    A   192.0.2.81
www    AAAA 2001:db8::80
alias 60 CNAME www
_sip._tcp SRV 10 5 5060 sip
loop   CNAME pool
pool   CNAME loop
80     PTR www
"""


@pytest.fixture(scope="session")
def name_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Run NSD, which serves example.test and a reverse zone; yield its port."""
    directory, port = tmp_path_factory.mktemp("nsd"), free_port()
    large = "".join(f'large TXT "{number:03} {"x" * 200}"\n' for number in range(30))
    (directory / "zone").write_text(ZONE + large)
    reverse = "$ORIGIN 2.0.192.in-addr.arpa.\n$TTL 300\n@ SOA ns1.example.test. a. 1 1 1 1 1\n"
    (directory / "reverse").write_text(
        f"{reverse}@ NS ns1.example.test.\n80 PTR www.example.test.\n"
    )
    (directory / "nsd.conf").write_text(f"""\
server:
  ip-address: 127.0.0.1@{port}
  ip-address: ::1@{port}
  username: ""
  pidfile: ""
  zonesdir: "{directory}"
  database: ""
  zonelistfile: "{directory}/zone.list"
  xfrdfile: "{directory}/xfrd.state"
  xfrdir: "{directory}"
  server-count: 1
remote-control:
  control-enable: no
zone:
  name: example.test
  zonefile: zone
zone:
  name: 2.0.192.in-addr.arpa
  zonefile: reverse
zone:
  name: broken.test
  zonefile: missing
""")
    with running([program("nsd"), "-d", "-c", str(directory / "nsd.conf")], port, directory):
        yield port


@pytest.fixture(scope="session")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Run OpenSSH's server; yield its port."""
    directory, port = tmp_path_factory.mktemp("sshd"), free_port()
    key = directory / "key"
    subprocess.run(
        [program("ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True
    )
    (directory / "sshd_config").write_text(f"HostKey {key}\nPidFile none\nUsePAM no\n")
    Path("/run/sshd").mkdir(exist_ok=True)  # sshd wants it, for privilege separation
    command = [program("sshd"), "-D", "-e", "-f", str(directory / "sshd_config"),
               "-o", f"ListenAddress=127.0.0.1:{port}"]  # fmt: skip
    with running(command, port, directory):
        yield port
