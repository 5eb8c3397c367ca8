"""Server programs of the machine: where they are, how to run them as nobody special, and free ports for them."""

from __future__ import annotations

import os
import shutil
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest

T = TypeVar("T")

_PLACES = os.pathsep.join(
    [os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin", *map(str, Path("/usr/lib/postgresql").glob("*/bin"))]
)


class MissingProgram(Exception):
    """A server program is not installed; the message names the Debian package."""


def find_program(name: str, package: str) -> str:
    """Its path; raises MissingProgram."""
    found = shutil.which(name, path=_PLACES)
    if not found:
        raise MissingProgram(f"{name} is not installed: `make system` or `apt-get install {package}`")
    return found


def need_program(name: str, package: str) -> str:
    """Its path, for a fixture: a missing program skips the test on a person's machine and fails it in CI."""
    try:
        return find_program(name, package)
    except MissingProgram as error:
        if os.environ.get("CI", "").lower() in {"1", "true", "yes"}:
            pytest.fail(str(error), pytrace=False)
        # `make test` installs all of them; who calls pytest alone may do so without every server. Never in CI.
        pytest.skip(str(error))


def bound_to_us(user: str | None = None) -> list[str]:
    """A command prefix: end with the parent, and run as `user` where we are root (servers refuse root)."""
    prefix = [find_program("setpriv", "util-linux"), "--pdeathsig", "TERM"]
    if user and os.geteuid() == 0:
        prefix += ["--reuid", user, "--regid", user, "--clear-groups"]
    return [*prefix, "--"]


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def wait_until(
    condition: Callable[[], T | None], what: str | Callable[[], str], *, within: float = 10.0, every: float = 0.01
) -> T:
    """The first true value of `condition`; raises TimeoutError that names `what` (a function is asked only then)."""
    deadline = time.monotonic() + within
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {within:g} s: {what if isinstance(what, str) else what()}")
        time.sleep(every)
    return value


def answers(port: int) -> bool:
    """Whether something accepts connections on 127.0.0.1:`port`."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
