"""Exim and Dovecot on free ports of the loopback interface."""

from __future__ import annotations

import getpass
import grp
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.pki import Pki
from tests.servers import free_port, program, running

MAIL_PASSWORD = "corr3ct-h0rse"
"""Password of the user ``watch`` of the mail servers."""

_DOVECOT = """\
protocols = imap
base_dir = {directory}/run
state_dir = {directory}/state
log_path = /dev/stderr
listen = 127.0.0.1
default_login_user = {user}
default_internal_user = {user}
default_internal_group = {group}
ssl = yes
ssl_cert = <{chain}
ssl_key = <{key}
disable_plaintext_auth = yes
auth_mechanisms = plain
auth_failure_delay = 0
mail_location = maildir:{directory}/mail
passdb {{
  driver = passwd-file
  args = scheme=plain {directory}/users
}}
userdb {{
  driver = static
  args = uid={user} gid={group} home={directory}/mail
}}
service anvil {{
  chroot =
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    port = {plain}
  }}
  inet_listener imaps {{
    port = {tls}
  }}
}}
service stats {{
  chroot =
}}
"""


@pytest.fixture(scope="session")
def exim(pki: Pki, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, int]]:
    """Run Exim with STARTTLS and a login on one port, and TLS from the start on another."""
    if os.getuid() != 0:
        pytest.skip("Exim drops a configuration that is not its own unless root starts it")
    directory = tmp_path_factory.mktemp("exim")
    plain, tls = free_port(), free_port()
    chain, key = pki.files(pki.issue("localhost", days=50.01), "exim")
    (directory / "exim.conf").write_text(f"""\
primary_hostname = mail.example.test
daemon_smtp_ports = {plain} : {tls}
tls_on_connect_ports = {tls}
local_interfaces = 127.0.0.1
exim_user = root
exim_group = root
never_users =
spool_directory = {directory}/spool
log_file_path = {directory}/%slog
pid_file_path = {directory}/pid
tls_advertise_hosts = *
tls_certificate = {chain}
tls_privatekey = {key}
keep_environment =
host_lookup =
rfc1413_query_timeout = 0s
begin acl
begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  server_prompts = :
  server_condition = ${{if and{{{{eq{{$auth2}}{{watch}}}}{{eq{{$auth3}}{{{MAIL_PASSWORD}}}}}}}}}
  server_advertise_condition = ${{if def:tls_in_cipher}}
""")
    command = [program("exim4"), "-bdf", "-q1h", "-C", str(directory / "exim.conf")]
    with running(command, plain, directory):
        yield plain, tls


@pytest.fixture(scope="session")
def dovecot(pki: Pki) -> Iterator[tuple[int, int]]:
    """Run Dovecot with STARTTLS on one port and TLS from the start on another."""
    # As root, mail belongs to another user, who may not enter pytest's own directory.
    user, group = ("nobody", "nogroup") if os.getuid() == 0 else (
        getpass.getuser(), grp.getgrgid(os.getgid()).gr_name
    )  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="tocsin-dovecot-") as name:
        directory = Path(name)
        plain, tls = free_port(), free_port()
        chain, key = pki.files(pki.issue("localhost", days=50.01), "dovecot")
        (directory / "users").write_text(f"watch:{{PLAIN}}{MAIL_PASSWORD}\n")
        (directory / "dovecot.conf").write_text(
            _DOVECOT.format(
                directory=directory,
                user=user,
                group=group,
                plain=plain,
                tls=tls,
                chain=chain,
                key=key,
            )
        )
        (directory / "mail").mkdir()
        if os.getuid() == 0:
            shutil.chown(directory / "mail", user, group)
        directory.chmod(0o755)
        command = [program("dovecot"), "-F", "-c", str(directory / "dovecot.conf")]
        with running(command, plain, directory):
            yield plain, tls
