"""`mozzart-healthcheck`: whether the process of this container works, for Docker's HEALTHCHECK.

The api is asked over HTTP. A syncer, consumer or webhook process is asked over NATS: it has to answer, so it is alive,
connected and takes requests. It runs four times a minute in each container, so it imports none of the program: 0.1 s of
processor time instead of a whole one.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import secrets
import socket
import ssl
import sys
import time
from io import BufferedRWPair
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, unquote, urlsplit

WITHIN: Final = 8.0  # seconds; Docker is told ten
OVER_NATS: Final = ("syncer", "consumer", "webhook", "verifier")
OVER_HTTP: Final = ("api", "up", "demo")
SUBJECT: Final = "mozzart.metrics"


class Unhealthy(Exception):
    """In words, for `docker inspect`."""


def main() -> None:
    """The role is the first argument, or what the container was started as. Exit code 0 or 1; one line either way."""
    role = sys.argv[1] if len(sys.argv) > 1 else role_of(Path("/proc/1/cmdline").read_bytes())
    try:
        said = check(role, os.environ)
    except (Unhealthy, OSError, ValueError) as error:
        sys.stdout.write(f"{role or 'no role'}: {error}\n")
        sys.exit(1)
    sys.stdout.write(f"{role}: {said}\n")


def role_of(cmdline: bytes) -> str:
    """The command's name in the first process's arguments; "" when there is none that stays. Pure."""
    words = [Path(word.decode("utf-8", "replace")).name for word in cmdline.split(b"\0")]
    return next((word for word in words if word in (*OVER_NATS, *OVER_HTTP)), "")


def check(role: str, environment: os._Environ[str] | dict[str, str]) -> str:
    """What is well, in words. Raises Unhealthy, OSError, ValueError."""
    if role in OVER_HTTP:
        return _over_http(environment)
    if role in OVER_NATS:
        return _over_nats(role, environment)
    raise Unhealthy(f"only {', '.join((*OVER_NATS, *OVER_HTTP))} have a health")


def _over_http(environment: os._Environ[str] | dict[str, str]) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", int(environment.get("API_PORT") or 8000), timeout=WITHIN)
    with contextlib.closing(connection):
        host = (environment.get("ALLOWED_HOSTS") or "localhost").split(",")[0].strip().lstrip(".")
        connection.request("GET", "/healthz", headers={"Host": "localhost" if host in ("", "*") else host})
        status = connection.getresponse().status
    if status != http.HTTPStatus.OK:
        raise Unhealthy(f"/healthz answers {status}")
    return "answers"


def _over_nats(role: str, environment: os._Environ[str] | dict[str, str]) -> str:
    end = time.monotonic() + WITHIN
    url = environment.get("NATS_URL") or Path(environment["NATS_URL_FILE"]).read_text(encoding="utf-8").strip()
    inbox, stream = _connected(url.split(",")[0], end)
    ours = (role, socket.gethostname())
    with stream:
        _send(stream, f"SUB {inbox} 1", f"PUB {SUBJECT} {inbox} 0", "", "PING")
        while time.monotonic() < end:
            try:
                line = stream.readline()
            except TimeoutError:
                break
            if not line:
                break
            words = line.split()
            if words[0] == b"-ERR":
                raise Unhealthy(f"NATS: {line.decode(errors='replace').strip()}")
            if words[0] == b"MSG":
                if _name_of(stream.read(int(words[-1]) + 2)) == ours:
                    return "answers over NATS"
            elif words[0] == b"HMSG":
                stream.read(int(words[-1]) + 2)
            elif words[0] == b"PING":
                _send(stream, "PONG")
    raise Unhealthy("does not answer over NATS")


def _connected(url: str, end: float) -> tuple[str, BufferedRWPair]:
    """An inbox of its own and the connection, authenticated. Raises Unhealthy, OSError."""
    parts = urlsplit(url if "://" in url else f"nats://{url}")
    if parts.scheme not in ("nats", "tls") or not parts.hostname:
        raise Unhealthy("NATS_URL is no nats:// or tls:// address")
    left = max(end - time.monotonic(), 0.1)
    connection = socket.create_connection((parts.hostname, parts.port or 4222), timeout=left)
    connection.settimeout(left)
    greeting = _line(connection)
    if parts.scheme == "tls" or json.loads(greeting.partition(b" ")[2]).get("tls_required"):
        connection = ssl.create_default_context().wrap_socket(connection, server_hostname=parts.hostname)
    stream = connection.makefile("rwb")
    options: dict[str, object] = {"verbose": False, "headers": True, "no_responders": True, "name": "healthcheck"}
    if parts.username and parts.password is not None:
        options |= {"user": unquote(parts.username), "pass": unquote(parts.password)}
    elif parts.username:
        options["auth_token"] = unquote(parts.username)
    _send(stream, f"CONNECT {json.dumps(options)}")
    prefix = parse_qs(parts.query).get("inbox_prefix", ["_INBOX"])[0]
    return f"{prefix}.{secrets.token_hex(8)}", stream


def _line(connection: socket.socket) -> bytes:
    """The greeting, byte by byte: TLS may begin right behind it."""
    line = b""
    while not line.endswith(b"\n"):
        byte = connection.recv(1)
        if not byte:
            raise Unhealthy("NATS closed the connection")
        line += byte
    return line


def _send(stream: BufferedRWPair, *lines: str) -> None:
    stream.write("".join(f"{line}\r\n" for line in lines).encode())
    stream.flush()


def _name_of(answer: bytes) -> tuple[str, str]:
    """Which process an answer of mailcore.metrics is from: its role and its host."""
    with contextlib.suppress(ValueError, LookupError, TypeError):
        head = json.loads(answer.partition(b"\n")[0])
        return str(head["process"]), str(head["process_instance"]).rpartition(":")[0]
    return "", ""


if __name__ == "__main__":
    main()
