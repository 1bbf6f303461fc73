"""Whether the tocsin of this container does its job: the image's health check, without curl.

It runs every half minute, so it imports nothing of tocsin's and as little as it can. Another port
and path may be named: the dashboard's.
"""

import os
import socket
import sys

if os.getuid() == 0:  # as compose.yml starts it; see the command tocsin beside this file
    os.setgroups([])
    os.setgid(int(os.environ["TOCSIN_GID"]))
    os.setuid(int(os.environ["TOCSIN_UID"]))

host = os.environ.get("TOCSIN_API_HOST") or "127.0.0.1"
host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
port = int(sys.argv[1] if len(sys.argv) > 1 else os.environ.get("TOCSIN_API_PORT") or 8095)
path = sys.argv[2] if len(sys.argv) > 2 else "/health"
try:
    with socket.create_connection((host, port), timeout=8) as connection:
        connection.sendall(f"GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
        answer = b""
        while part := connection.recv(65536):
            answer += part
except OSError as error:
    sys.exit(f"there is no answer on {host}:{port}: {error}")
head, _, body = answer.partition(b"\r\n\r\n")
print(body.decode("utf-8", "replace")[:2000])  # noqa: T201 - docker inspect shows it
sys.exit(0 if head.split(b" ")[1:2] == [b"200"] else 1)
