"""`mozzart-healthcheck`: whether the process of this container works, for Docker's HEALTHCHECK.

The api is asked over HTTP. A syncer, consumer or webhook process is asked over NATS: it has to answer, so it is alive,
connected and takes requests. It runs four times a minute in each container, so of the program it imports next to
nothing: 0.1 s of processor time instead of a whole one.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import socket
import sys
from pathlib import Path
from typing import Final

from mailcore.plain_nats import NatsRefused, PlainNats

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
    url = environment.get("NATS_URL") or Path(environment["NATS_URL_FILE"]).read_text(encoding="utf-8").strip()
    ours = (role, socket.gethostname())
    try:
        with PlainNats(url, name="healthcheck", within=WITHIN) as nats:
            if any(_name_of(answer) == ours for answer in nats.ask(SUBJECT)):
                return "answers over NATS"
    except NatsRefused as error:
        raise Unhealthy(f"NATS: {error}") from None
    raise Unhealthy("does not answer over NATS")


def _name_of(answer: bytes) -> tuple[str, str]:
    """Which process an answer of mailcore.metrics is from: its role and its host."""
    with contextlib.suppress(ValueError, LookupError, TypeError):
        head = json.loads(answer.partition(b"\n")[0])
        return str(head["process"]), str(head["process_instance"]).rpartition(":")[0]
    return "", ""


if __name__ == "__main__":
    main()
