"""Server programs of the machine: where they are, how to run them as nobody special, and free ports for them."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn, TypeVar

import pytest

T = TypeVar("T")

# Debian's IMAP servers exclude each other: `.ci/system` unpacks there what cannot be installed beside Dovecot.
_UNPACKED = Path("/opt/mozzart-tests")
_PLACES = os.pathsep.join(
    map(
        str,
        [
            os.environ.get("PATH", ""),
            *("/usr/sbin", "/usr/local/sbin", "/usr/lib/cyrus/bin"),
            *Path("/usr/lib/postgresql").glob("*/bin"),
            *(_UNPACKED / "cyrus" / "usr" / place for place in ("lib/cyrus/bin", "sbin")),
            *(_UNPACKED / "courier" / "usr" / place for place in ("bin", "libexec")),
            _UNPACKED / "prometheus" / "usr" / "bin",
        ],
    )
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
    """Its path, for a fixture."""
    try:
        return find_program(name, package)
    except MissingProgram as error:
        missing(str(error))


def missing(words: str) -> NoReturn:
    """Something that tests need is not installed: skips the test on a person's machine and fails it in CI."""
    if os.environ.get("CI", "").lower() in {"1", "true", "yes"}:
        pytest.fail(words, pytrace=False)
    # `make test` installs all of it; who calls pytest alone may do so without every server. Never in CI.
    pytest.skip(words)


def bound_to_us(user: str | None = None) -> list[str]:
    """A command prefix: end with the parent, and run as `user` where we are root (servers refuse root)."""
    prefix = [find_program("setpriv", "util-linux"), "--pdeathsig", "TERM"]
    if user and os.geteuid() == 0:
        prefix += ["--reuid", user, "--regid", user, "--clear-groups"]
    return [*prefix, "--"]


def environment_of(program: str) -> dict[str, str]:
    """Our environment, with the libraries that were unpacked with the program."""
    path = Path(program)
    if not path.is_relative_to(_UNPACKED):
        return dict(os.environ)
    usr = _UNPACKED / path.relative_to(_UNPACKED).parts[0] / "usr"
    libraries = [*usr.glob("lib/*-linux-gnu"), usr / "lib"]
    return os.environ | {"LD_LIBRARY_PATH": os.pathsep.join(map(str, libraries))}


def mail_account() -> str:
    """Whom a server runs as that refuses root: a user that every Debian has, where we are root."""
    return "mail" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name


def give_to(account: str, *roots: Path) -> None:
    """What we have written there belongs to the account."""
    if os.geteuid() == 0:
        for root in roots:
            for path in (root, *root.rglob("*")):
                shutil.chown(path, account, account)


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
