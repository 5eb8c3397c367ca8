"""What the commands say to a person, on a system that runs and on one that does not."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from cli import exit_code
from cli.main import root
from tests.support.dovecot import Dovecot
from tests.support.mail import make_mail
from tests.support.processes import MOZZART, Mozzart


@pytest.fixture
def dovecot(make_dovecot: Callable[..., Dovecot]) -> Dovecot:
    """Without hibernation: with it, Dovecot forgets to announce mail that comes half a second to a second after IDLE
    began, and these tests are not about that."""
    return make_dovecot(hibernate="0")


@pytest.fixture
def idle(dovecot: Dovecot, make_mozzart: Callable[..., Mozzart]) -> Mozzart:
    """A system that runs and listens."""
    mozzart = make_mozzart(SYNC_INTERVAL="3600").use(dovecot).start().wait_ready()
    mozzart.wait_log("state=idling")
    return mozzart


def test_every_command_explains_itself(make_mozzart: Callable[..., Mozzart]) -> None:
    mozzart = make_mozzart(IMAP_PORT="even a wrong setting is no reason not to")
    for name, command in root.commands.items():
        shown = mozzart.run(name, "--help")
        assert shown.returncode == 0, name
        assert command.help
        assert command.help.splitlines()[0][:40] in shown.stdout


def test_sync_stores_what_is_missing_and_says_so(idle: Mozzart, dovecot: Dovecot) -> None:
    assert idle.run("sync").returncode == 0
    dovecot.append(make_mail(1, files=(1000,)).raw)
    idle.wait_stored(1)

    ran = idle.run("sync")
    assert (ran.returncode, ran.stderr) == (0, "")
    assert re.fullmatch(r"✓ default/INBOX  in step, nothing was missing  \d+ ms\n", ran.stdout)


def test_sync_of_a_mailbox_that_is_not_there_fails_in_words(idle: Mozzart) -> None:
    ran = idle.run("sync", "--mailbox", "Nirgends")

    assert ran.returncode == 1
    assert "Nirgends" in ran.stderr
    assert len(ran.stderr.splitlines()) == 1


def test_status_and_doctor_find_everything_well(idle: Mozzart, dovecot: Dovecot) -> None:
    dovecot.append(make_mail(1).raw)
    idle.wait_stored(1)

    status = idle.run("status")
    assert (status.returncode, status.stderr) == (0, "")
    assert "default/INBOX" in status.stdout
    assert "✗" not in status.stdout
    assert re.search(r"database +1 message\n", status.stdout)

    doctor = idle.run("doctor")
    assert (doctor.returncode, doctor.stderr) == (0, "")
    assert "✗" not in doctor.stdout
    for what in ("settings", "IMAP", "NATS", "syncer", "database", "data", "media"):
        assert re.search(rf"^✓ {what} ", doctor.stdout, re.MULTILINE), what


def test_tail_shows_events_of_the_past_and_as_they_come(idle: Mozzart, dovecot: Dovecot) -> None:
    dovecot.append(make_mail(1).raw)
    idle.wait_stored(1)

    with subprocess.Popen(
        [str(MOZZART), "tail", "--since", "all", "--json", "--subject", "mail.*.*.stored"],
        cwd=idle.home,
        env=idle.settings,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as tail:
        assert tail.stdout is not None
        past = json.loads(tail.stdout.readline())
        uid = dovecot.append(make_mail(2).raw)
        live = json.loads(tail.stdout.readline())
        tail.send_signal(signal.SIGINT)
        _, said = tail.communicate(timeout=10)

    assert (past["data"]["uid"], live["data"]["uid"]) == (1, uid)
    assert (tail.returncode, said.strip()) == (130, "")


def test_a_wrong_password_is_told_by_doctor_and_never_shown(
    dovecot: Dovecot, make_mozzart: Callable[..., Mozzart]
) -> None:
    mozzart = make_mozzart().use(dovecot)
    mozzart.environment["IMAP_PASSWORD"] = "wrong-Passw0rd"

    doctor = mozzart.run("doctor")
    assert doctor.returncode == 1
    assert re.search(r"^✗ IMAP .*default", doctor.stdout, re.MULTILINE)
    assert "→ Check IMAP_HOST" in doctor.stdout
    assert "wrong-Passw0rd" not in doctor.stdout + doctor.stderr
    assert "Traceback" not in doctor.stderr


@pytest.mark.parametrize(
    ("command", "code"), [("sync", 78), ("status", 69), ("tail", 78), ("syncer", 78), ("consumer", 78), ("api", 78)]
)
def test_where_nothing_runs_each_command_says_what_to_do(
    make_mozzart: Callable[..., Mozzart], command: str, code: int
) -> None:
    ran = make_mozzart().run(command)

    assert ran.returncode == code
    assert "mozzart up" in ran.stdout + ran.stderr
    assert "Traceback" not in ran.stderr


def test_a_nats_server_that_does_not_answer_is_named(make_mozzart: Callable[..., Mozzart]) -> None:
    ran = make_mozzart(NATS_URL="nats://top-secret@127.0.0.1:1").run("tail")

    assert ran.returncode == 69
    assert "127.0.0.1:1" in ran.stderr
    assert "top-secret" not in ran.stderr
    assert len(ran.stderr.splitlines()) == 1


def test_db_upgrade_makes_the_tables_and_then_changes_nothing(make_mozzart: Callable[..., Mozzart]) -> None:
    mozzart = make_mozzart()

    assert "upgraded" in mozzart.run("db", "upgrade").stderr
    assert mozzart.rows("SELECT count(*) AS n FROM mailbox_app_mailmessage")[0]["n"] == 0
    assert "up to date" in mozzart.run("db", "upgrade").stderr


@pytest.mark.parametrize("directory", ["a-file", "/proc/nowhere"])
@pytest.mark.parametrize("command", ["doctor", "status", "up"])
def test_a_data_dir_that_cannot_be_used_is_told_in_a_sentence(
    make_mozzart: Callable[..., Mozzart], command: str, directory: str
) -> None:
    mozzart = make_mozzart(DATA_DIR=directory, DATABASE_URL="")
    (mozzart.home / "a-file").touch()
    ran = mozzart.run(command)
    assert ran.returncode in (exit_code.CONFIG, exit_code.FAILED, exit_code.UNAVAILABLE)
    assert "cannot be" in ran.stdout + ran.stderr
    assert "Traceback" not in ran.stderr


def test_doctor_knows_an_answer_that_is_not_its_own_apis(idle: Mozzart, make_mozzart: Callable[..., Mozzart]) -> None:
    def said(other: Mozzart) -> str:
        (line,) = (line for line in other.run("doctor").stdout.splitlines() if re.match(r"^. api ", line))
        return line

    assert said(idle).startswith("✓ api")
    other = make_mozzart(API_PORT=str(idle.api_port))
    assert said(other).startswith("! api")
    assert "nobody can tell" in said(other)
    (other.home / "data").mkdir(exist_ok=True)
    (other.home / "data" / "session.key").write_text("another one\n")
    assert "✗" in said(other)
    assert "of another DATA_DIR" in said(other)

    class Foreign(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(404)

        def log_message(self, *_: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Foreign) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        other.environment["API_PORT"] = str(server.server_port)
        assert "✗" in said(other)
        assert "another program answers there" in said(other)
        server.shutdown()
        thread.join()


def test_doctor_asks_what_a_misspelt_setting_meant(make_mozzart: Callable[..., Mozzart]) -> None:
    said = make_mozzart(IMAP_PASSWROD="never-shown-7").run("doctor").stdout
    assert "! settings  IMAP_PASSWROD in the environment is not a setting; did you mean IMAP_PASSWORD?" in said
    assert "never-shown-7" not in said
