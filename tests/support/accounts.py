"""Many accounts on one Dovecot, and accounts that are broken in every way that we know."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from tests.support.dovecot import Dovecot
from tests.support.processes import Mozzart
from tests.support.programs import free_port, wait_until
from tests.support.scripted_imap import ScriptedImap, Session

CAPABILITIES: Final = "IMAP4rev1 IDLE AUTH=PLAIN SASL-IR"
_SYN_WITHIN: Final = 0.3


def as_user(dovecot: Dovecot, user: str) -> Dovecot:
    """The same server as another user sees it; nobody may close this one."""
    return replace(dovecot, user=user)


def table(dovecot: Dovecot, name: str, **changes: Any) -> dict[str, Any]:
    """The keys of a sound account of the user `name`."""
    keys = {
        "name": name,
        "host": dovecot.host,
        "port": dovecot.port,
        "user": name,
        "password": dovecot.password,
        "use_ssl": False,
    }
    return keys | changes


def write_accounts(path: Path, tables: Iterable[dict[str, Any]]) -> Path:
    """An ACCOUNTS_FILE; JSON's strings, numbers, lists and booleans are TOML's too."""
    lines: list[str] = []
    for keys in tables:
        lines += ["[[account]]", *(f"{key} = {json.dumps(value)}" for key, value in keys.items()), ""]
    path.write_text("\n".join(lines))
    path.chmod(0o600)
    return path


def live(mozzart: Mozzart) -> dict[str, dict[str, Any]]:
    """Of each account with one mailbox that the syncer tells of."""
    found = mozzart.http("GET", "/api/mailbox/states/").json["mailboxes"]
    return {one["account"]: one["live"] for one in found if one["live"]}


def wait_idling(mozzart: Mozzart, *names: str) -> None:
    def idle() -> bool:
        found = live(mozzart)
        return found.keys() == set(names) and all(one["connection"] == "idling" for one in found.values())

    wait_until(idle, lambda: f"{names} idle: {live(mozzart)}\n{mozzart.log_text()[-3000:]}", within=30)


@dataclass(frozen=True)
class Broken:
    """The table of an account that cannot work, and the words (a regular expression) that must be said of it."""

    table: dict[str, Any]
    words: str


@contextlib.contextmanager
def broken_accounts(dovecot: Dovecot) -> Iterator[list[Broken]]:
    """Ten accounts, each broken in a way of its own, for the time of the block."""
    with contextlib.ExitStack() as stack:

        def scripted(script: Callable[[Session], None]) -> int:
            server = ScriptedImap(_patient(script))
            stack.callback(server.close)
            return server.port

        deaf = stack.enter_context(_deaf())

        def ours(name: str, **changes: Any) -> dict[str, Any]:
            return table(dovecot, name, **changes)

        yield [
            Broken(ours("wrong-password", password="not the password"), r"AUTHENTICATIONFAILED.*`password`"),
            Broken(ours("missing-mailbox", mailboxes=["Nowhere"]), r"refused: .*Nowhere"),
            Broken(ours("refused", port=free_port()), r"could not connect: Connection refused"),
            Broken(ours("silent", port=scripted(_say_nothing)), r"within 15 s: it accepts and says nothing"),
            Broken(ours("deaf", port=deaf), r"could not connect: .* does not answer"),
            Broken(ours("no-tls-there", use_ssl=True), r"TLS failed: .*`use_ssl`"),
            Broken(ours("untrusted", port=dovecot.tls_port, use_ssl=True), r"certificate is not trusted: .*`ca_file`"),
            Broken(ours("bye", port=scripted(_say_bye)), r"said BYE: .*too many of you"),
            Broken(ours("throttled", port=scripted(_put_off)), r"put off: \[UNAVAILABLE\] come back later"),
            Broken(ours("closing", port=scripted(_close_at_login)), r"connection was closed by the server"),
        ]


def _patient(script: Callable[[Session], None]) -> Callable[[Session], None]:
    """The client may leave at any moment."""

    def run(session: Session) -> None:
        with contextlib.suppress(AssertionError, OSError):
            script(session)

    return run


def _say_nothing(session: Session) -> None:
    session.until_closed()


def _say_bye(session: Session) -> None:
    session.say("* BYE too many of you")
    session.until_closed()


def _put_off(session: Session) -> None:
    session.say(f"* OK [CAPABILITY {CAPABILITIES}] hello")
    session.answer("LOGIN .*|AUTHENTICATE PLAIN .*", end="NO [UNAVAILABLE] come back later")
    session.until_closed()


def _close_at_login(session: Session) -> None:
    session.say(f"* OK [CAPABILITY {CAPABILITIES}] hello")
    session.expect("LOGIN .*|AUTHENTICATE PLAIN .*")


@contextlib.contextmanager
def _deaf() -> Iterator[int]:
    """A port of which the kernel drops every SYN: its queue is full, and nobody accepts."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(16):
            client = stack.enter_context(socket.socket())
            client.settimeout(_SYN_WITHIN)
            try:
                client.connect(listener.getsockname())
            except TimeoutError:
                break
        else:
            raise AssertionError("a full queue still takes connections")
        yield listener.getsockname()[1]
