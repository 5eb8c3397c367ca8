"""`status`, `tail`, `doctor`, `dead-letters` and `completion` on a system that runs."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import pty
import signal
import subprocess
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

import pytest

from mailcore.bus import Bus
from mailcore.events.identity import Identity
from mailcore.events.message import FoundBy, Kind, MessageEvent
from mailcore.events.thin import Origin, Rebind
from tests.support.dovecot import Dovecot
from tests.support.mail import make_mail
from tests.support.processes import MOZZART, Mozzart
from tests.support.programs import wait_until

T = TypeVar("T")
UIDVALIDITY = 9
DEAD_UIDS = count(4_000_000)  # a stream takes an identity once within its duplicate window


@pytest.fixture(scope="module")
def running() -> Iterator[Mozzart]:
    """A system that runs, listens and has stored three messages."""
    server = Dovecot(hibernate="0")
    with tempfile.TemporaryDirectory(prefix="mz-", dir="/tmp", ignore_cleanup_errors=True) as home:
        mozzart = Mozzart(Path(home), {"SYNC_INTERVAL": "3600"})
        try:
            server.start()
            server.append_many([make_mail(number).raw for number in range(3)])
            mozzart.use(server).start().wait_ready().wait_stored(3)
            mozzart.wait_live("idling")
            assert mozzart.run("sync").returncode == 0
            followed = "SELECT id FROM mailbox_app_mailboxstate WHERE stored_count = 3"
            wait_until(lambda: mozzart.rows(followed), "the row of the mailbox follows")
            yield mozzart
        finally:
            mozzart.stop()
            server.close()


def on_its_bus(mozzart: Mozzart, work: Callable[[Bus], Coroutine[Any, Any, T]]) -> T:
    """What `work` does on the system's own NATS."""

    @asynccontextmanager
    async def connected() -> AsyncIterator[Bus]:
        bus = await Bus.connect((mozzart.home / "data" / "nats.url").read_text().strip(), name="test")
        yield bus
        await bus.close()

    async def main() -> T:
        async with connected() as bus:
            return await work(bus)

    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        return runner.run(main())


def events(mozzart: Mozzart, *arguments: str) -> list[dict[str, Any]]:
    ran = mozzart.run("tail", "--json", *arguments)
    assert (ran.returncode, ran.stderr) == (0, "")
    return [json.loads(line) for line in ran.stdout.splitlines()]


def test_status_as_json_has_what_the_table_has(running: Mozzart) -> None:
    ran = running.run("status", "--json")

    assert (ran.returncode, ran.stderr) == (0, "")
    found = json.loads(ran.stdout)
    (mailbox,) = found["mailboxes"]
    assert (mailbox["account"], mailbox["mailbox"], mailbox["live"]["connection"]) == ("default", "INBOX", "idling")
    assert (mailbox["message_count"], mailbox["stored_count"], found["database"]["messages"]) == (3, 3, 3)
    assert sum(found["nats"]["streams"][name]["messages"] for name in ("MAIL", "MAIL_BACKFILL")) >= 3
    assert {"api", "consumer", "syncer"} <= found["processes"].keys()
    assert found["faults"] == {}


def test_status_tells_as_json_what_does_not_answer(make_mozzart: Callable[..., Mozzart]) -> None:
    ran = make_mozzart().run("status", "--json")

    assert ran.returncode == 69
    assert {"NATS", "syncer", "database"} == json.loads(ran.stdout)["faults"].keys()


def test_status_that_watches_looks_again_until_ctrl_c(running: Mozzart) -> None:
    with subprocess.Popen(
        [str(MOZZART), "status", "--watch", "--every", "0.2", "--json"],
        cwd=running.home,
        env=running.settings,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as watching:
        assert watching.stdout is not None
        looks = [json.loads(watching.stdout.readline()) for _ in range(3)]
        watching.send_signal(signal.SIGINT)
        _, said = watching.communicate(timeout=10)

    assert looks[0]["at"] < looks[1]["at"] < looks[2]["at"]
    assert (watching.returncode, said.strip()) == (130, "")


def test_status_that_watches_redraws_a_table_on_a_terminal(running: Mozzart) -> None:
    leader, follower = pty.openpty()
    settings = running.settings | {"TERM": "xterm-256color", "COLUMNS": "120"}
    with subprocess.Popen(
        [str(MOZZART), "status", "--watch", "--every", "0.2"],
        cwd=running.home,
        env=settings,
        stdin=subprocess.DEVNULL,
        stdout=follower,
        stderr=follower,
        start_new_session=True,
    ) as watching:
        os.close(follower)
        os.set_blocking(leader, False)
        screen = bytearray()

        def redrawn() -> bool:
            with contextlib.suppress(BlockingIOError):
                screen.extend(os.read(leader, 65536))
            return screen.count(b"default/INBOX") >= 2

        wait_until(redrawn, lambda: f"two tables: {bytes(screen[-2000:])!r}", within=20)
        watching.send_signal(signal.SIGINT)
        assert watching.wait(10) == 130
    os.close(leader)
    assert b"a second" in screen, "the rate since the look before"


def test_tail_replays_since_a_time_and_filters_by_type_account_and_mailbox(running: Mozzart) -> None:
    stored = events(running, "--since", "1h", "--type", "stored", "--count", "3")
    assert [one["data"]["uid"] for one in stored] == [1, 2, 3]
    assert all(one["subject"].endswith(".stored") for one in stored)

    both = events(running, "--since", "all", "--type", "stored", "--type", "backfill", "--count", "6")
    assert {one["subject"].rpartition(".")[2] for one in both} == {"stored", "backfill"}

    narrow = ("--since", "20", "--account", "default", "--mailbox", "inbox", "--type", "stored", "--count", "3")
    assert events(running, *narrow) == stored
    begin = (datetime.now(UTC) - timedelta(minutes=30)).isoformat()
    assert events(running, "--since", begin, "--type", "stored", "--count", "3") == stored


def test_tail_shows_events_that_carry_no_payload_or_a_strange_one(running: Mozzart) -> None:
    async def publish(bus: Bus) -> None:
        await bus.publish(
            Rebind(
                account="default",
                mailbox="Nobody's",
                at=datetime.now(UTC),
                uidvalidity=UIDVALIDITY,
                uid=1,
                origin=Origin(uidvalidity=8, uid=1),
                sha256="0" * 64,
            )
        )

    on_its_bus(running, publish)
    (rebind,) = events(running, "--since", "all", "--mailbox", "Nobody's", "--type", "rebind", "--count", "1")
    assert rebind["data"] is None
    shown = running.run("tail", "--since", "all", "--mailbox", "Nobody's", "--type", "rebind", "--count", "1")
    assert "default/Nobody's/9/1" in shown.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ("tail", "--since", "yesterday"),
        ("tail", "--type", "nonsense"),
        ("tail", "--subject", "mail.>", "--account", "default"),
        ("tail", "--subject", "other.>"),
        ("messages", "search", "--since", "5"),
        ("messages", "show", "first"),
        ("dead-letters", "redrive"),
        ("dead-letters", "redrive", "--all", "1"),
        ("dead-letters", "discard"),
        ("dead-letters", "show", "1", "--raw", "--json"),
        ("completion", "csh"),
        ("status", "--every", "0"),
    ],
)
def test_what_is_no_command_line_is_refused_with_code_2(running: Mozzart, arguments: tuple[str, ...]) -> None:
    ran = running.run(*arguments)

    assert (ran.returncode, ran.stdout) == (2, "")
    assert "Error: " in ran.stderr
    assert "Traceback" not in ran.stderr


def test_doctor_as_json_is_one_object_for_each_check(running: Mozzart) -> None:
    ran = running.run("doctor", "--json")

    assert (ran.returncode, ran.stderr) == (0, "")
    found = [json.loads(line) for line in ran.stdout.splitlines()]
    verdicts = {one["what"]: one["verdict"] for one in found if one["verdict"] != "note"}
    parts = ("settings", "IMAP", "NATS", "syncer", "consumer", "api", "database", "data", "media")
    assert verdicts == dict.fromkeys(parts, "ok")


def test_doctor_notes_an_env_file_that_others_can_read(make_mozzart: Callable[..., Mozzart]) -> None:
    mozzart = make_mozzart()
    env = mozzart.home / ".env"
    env.write_text("IMAP_PASSWORD=secret\n")
    env.chmod(0o644)
    assert ".env is open to other users" in mozzart.run("doctor").stdout

    env.chmod(0o600)
    assert ".env" not in mozzart.run("doctor").stdout.replace("in .env", "")


@pytest.fixture
def dead(running: Mozzart) -> Iterator[tuple[int, bytes, Identity]]:
    """A dead letter: its number, its bytes, whose it is; none is left afterwards."""
    raw = make_mail(77).raw
    state = running.rows("SELECT uidvalidity FROM mailbox_app_mailboxstate")
    identity = Identity("default", "INBOX", state[0]["uidvalidity"], next(DEAD_UIDS))
    now = datetime.now(UTC)
    event = MessageEvent(
        identity, Kind.NEW, FoundBy.PUSH, len(raw), hashlib.sha256(raw).hexdigest(), now, now, now, body=raw
    )

    async def die(bus: Bus) -> None:
        await bus.publish_dead(event.headers(), raw, "the disk was on fire \x1b[31m", 7)

    async def bury(bus: Bus) -> None:
        for letter in [one async for one in bus.dead_letters()]:
            await bus.redrive(letter.seq)

    on_its_bus(running, die)
    (letter,) = [json.loads(line) for line in running.run("dead-letters", "list", "--json").stdout.splitlines()]
    yield letter["seq"], raw, identity
    on_its_bus(running, bury)


def test_a_dead_letter_is_listed_shown_and_redriven_into_a_row(
    running: Mozzart, dead: tuple[int, bytes, Identity]
) -> None:
    number, raw, identity = dead

    listed = running.run("dead-letters", "list")
    assert listed.returncode == 0
    for words in (str(identity), "the disk was on fire", "7 times"):
        assert words in listed.stdout
    shown = running.run("dead-letters", "show", str(number))
    assert "the disk was on fire \\x1b[31m" in shown.stdout
    assert "\x1b" not in listed.stdout + shown.stdout
    assert "could not be stored" in running.run("status").stdout
    assert "dead-letters list" in running.run("doctor").stdout
    printed = subprocess.run(
        [str(MOZZART), "dead-letters", "show", str(number), "--raw"],
        cwd=running.home,
        env=running.settings,
        capture_output=True,
        check=True,
    )
    assert printed.stdout == raw

    again = running.run("dead-letters", "redrive", str(number))
    assert (again.returncode, again.stderr) == (0, "")
    assert again.stdout == f"✓ {number}  {identity}  stored\n"
    assert running.rows("SELECT sha256 FROM mailbox_app_mailmessage WHERE uid = ?", identity.uid)
    assert running.run("dead-letters", "list").stdout == "There are no dead letters.\n"
    assert running.run("dead-letters", "redrive", "--all").returncode == 0


def test_a_dead_letter_is_discarded_and_not_stored(running: Mozzart, dead: tuple[int, bytes, Identity]) -> None:
    number, _, identity = dead
    before = running.stored()

    asked = running.run("dead-letters", "discard", "--all")
    assert (asked.returncode, asked.stdout) == (130, "")
    assert "Discard all of them, for good?" in asked.stderr
    gone = running.run("dead-letters", "discard", str(number))
    assert (gone.returncode, gone.stderr) == (0, "")
    assert gone.stdout == f"✓ {number}  {identity}  discarded\n"
    assert running.run("dead-letters", "list").stdout == "There are no dead letters.\n"
    again = running.run("dead-letters", "discard", str(number))
    assert (again.returncode, f"✗ {number}" in again.stdout) == (1, True)
    assert running.run("dead-letters", "discard", "--all", "--yes").returncode == 0
    assert running.stored() == before


def test_a_dead_letter_that_is_not_there_is_a_sentence(running: Mozzart) -> None:
    shown = running.run("dead-letters", "show", "4711")
    assert (shown.returncode, shown.stdout) == (1, "")
    assert "no dead letter 4711" in shown.stderr
    assert len(shown.stderr.splitlines()) == 1

    again = running.run("dead-letters", "redrive", "4711")
    assert again.returncode == 1
    assert "✗ 4711" in again.stdout


def complete(mozzart: Mozzart, *words: str) -> set[str]:
    """What bash would offer after these words."""
    variables = {"_MOZZART_COMPLETE": "bash_complete", "COMP_WORDS": " ".join(words), "COMP_CWORD": str(len(words) - 1)}
    ran = subprocess.run(
        [str(MOZZART)], cwd=mozzart.home, env=mozzart.settings | variables, capture_output=True, text=True, check=True
    )
    return {line.partition(",")[2] for line in ran.stdout.splitlines()}


def test_the_shell_completes_commands_options_and_choices(make_mozzart: Callable[..., Mozzart]) -> None:
    mozzart = make_mozzart()

    assert complete(mozzart, "mozzart", "d") == {"db", "dead-letters", "demo", "doctor"}
    assert complete(mozzart, "mozzart", "dead-letters", "") == {"discard", "list", "redrive", "show"}
    assert {"--since", "--type", "--json"} <= complete(mozzart, "mozzart", "tail", "--")
    assert complete(mozzart, "mozzart", "tail", "--type", "s") == {"stored", "synced"}


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_completion_script_is_for_that_shell_and_bash_takes_it(
    make_mozzart: Callable[..., Mozzart], shell: str
) -> None:
    ran = make_mozzart().run("completion", shell)

    assert ran.returncode == 0
    assert f"_MOZZART_COMPLETE={shell}_complete" in ran.stdout
    if shell == "bash":
        check = 'eval "$(cat)" && complete -p mozzart'
        taken = subprocess.run(["bash", "-c", check], input=ran.stdout, capture_output=True, text=True, check=True)
        assert "mozzart" in taken.stdout
