"""Each role as a process of its own, with the secrets and the NATS user that docker-compose.yml gives it."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from cli.role_secrets import ELSEWHERE
from tests.support.composed import Composed
from tests.support.dovecot import Dovecot
from tests.support.mail import make_mail
from tests.support.processes import MOZZART, Mozzart
from tests.support.programs import wait_until

HEALTHCHECK = MOZZART.with_name("mozzart-healthcheck")
SECRET = "whsec_b3VyLXNlY3JldC1vbmx5LWZvci10ZXN0cy0zMmJ5dGU="
FILES = {
    "syncer": ("nats_url", "database_url", "imap_user", "imap_password", "secret_key"),
    "consumer": ("nats_url", "database_url"),
    "api": ("nats_url", "database_url", "imap_user", "imap_password", "api_token", "admin_password"),
    "webhook": ("nats_url", "webhook_url", "webhook_secret"),
}


@pytest.fixture
def roles(composed: Composed, dovecot: Dovecot, make_mozzart: Callable[..., Mozzart]) -> Iterator[dict[str, Mozzart]]:
    """The four of them, running."""
    token = "a-token-only-for-tests-5f2c"
    composed.environment |= {
        "IMAP_HOST": dovecot.host,
        "IMAP_USER": dovecot.user,
        "IMAP_PASSWORD": dovecot.password,
        "API_TOKEN": token,
        "WEBHOOK_URL": "http://127.0.0.1:9/nobody",
        "WEBHOOK_SECRET": SECRET,
    }
    assert composed.hand_out("--profiles", "webhook").returncode == 0
    base = make_mozzart()
    plain = {"IMAP_HOST": dovecot.host, "IMAP_PORT": str(dovecot.port), "IMAP_USE_SSL": "False", "API_TOKEN": ""}
    with ExitStack() as stack:
        found = {}
        for role, names in FILES.items():
            files = {f"{name.upper()}_FILE": str(composed.secrets / role / name) for name in names}
            found[role] = replace(base, environment=plain | {"DATABASE_URL": ""} | files)
            stack.callback(found[role].stop, within=20)
            found[role].start(role)
        yield found


def healthy(one: Mozzart, role: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(HEALTHCHECK), role],
        env=one.settings,
        cwd=one.home,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_mail_is_stored_and_every_role_is_healthy_with_its_own_user(
    roles: dict[str, Mozzart], composed: Composed, dovecot: Dovecot
) -> None:
    api = roles["api"].wait_ready()
    api.wait_live("idling")
    for number in range(3):
        dovecot.append(make_mail(number).raw)
    dovecot.append(b"Subject: large\r\n\r\n" + b"x" * 80 * 125_000)  # 10 MB: through the object store
    api.wait_stored(4)
    run = api.http("POST", "/api/mailbox/sync/?wait=30")
    assert (run.status, run.json["status"]) == (200, "ok")
    dovecot.expunge(1)
    assert api.http("POST", "/api/mailbox/sync/?wait=30").json["expunged"] == 1
    wait_until(lambda: api.rows("SELECT 1 FROM mailbox_app_mailmessage WHERE expunged_at IS NOT NULL"), "it is marked")
    assert api.http("GET", "/api/dead-letters/").status == 200

    for role, one in roles.items():
        found = wait_until(
            lambda role=role, one=one: done if not (done := healthy(one, role)).returncode else None, role
        )
        assert "answers" in found.stdout
    assert "Violation" not in composed.log
    assert "nats-permission-denied" not in api.log_text()

    # One that is stuck, or gone, is not healthy.
    consumer = roles["consumer"]
    os.kill(consumer.pid, signal.SIGSTOP)
    stuck = healthy(consumer, "consumer")
    os.kill(consumer.pid, signal.SIGCONT)
    assert (stuck.returncode, stuck.stdout) == (1, "consumer: does not answer over NATS\n")
    roles["api"].stop()
    gone = healthy(api, "api")
    assert (gone.returncode, "refused" in gone.stdout) == (1, True)


def test_each_role_gets_what_it_needs_and_nobody_else_can_read_it(composed: Composed) -> None:
    composed.environment |= {
        "IMAP_HOST": "h",
        "IMAP_USER": "anna",
        "IMAP_PASSWORD": "pass",
        "DATABASE_URL": "sqlite:///x",
    }
    assert composed.hand_out().returncode == 0
    handed = {str(path.relative_to(composed.secrets)): path for path in composed.secrets.glob("*/*")}
    assert {stat.S_IMODE(path.stat().st_mode) for name, path in handed.items() if name != "postgres/password"} == {
        0o600
    }
    assert handed["syncer/imap_password"].read_text() == "pass"
    assert handed["api/imap_password"].read_text() == ELSEWHERE
    for role in ("consumer", "api", "webhook", "nats", "postgres"):
        assert not any(path.read_text() == "pass" for path in (composed.secrets / role).iterdir()), role
    passwords = [
        composed.url(role).split(":")[2].split("@")[0] for role in ("syncer", "consumer", "api", "webhook", "tools")
    ]
    assert len({*passwords, composed.url("downstream").split(":")[2].split("@")[0]}) == 6


def test_secrets_stay_until_they_are_rotated_and_the_databases_stays_then_too(composed: Composed) -> None:
    composed.environment["IMAP_HOST"] = "h"

    def found() -> dict[str, str]:
        return {str(path): path.read_text() for path in composed.secrets.glob("*/*")}

    assert composed.hand_out("--profiles", "postgres").returncode == 0
    before = found()
    database = (composed.secrets / "postgres" / "password").read_text()
    assert database
    assert database in (composed.secrets / "consumer" / "database_url").read_text()
    assert composed.hand_out("--profiles", "postgres").returncode == 0
    assert found() == before
    rotated = composed.hand_out("--profiles", "postgres", "--rotate")
    assert rotated.returncode == 0
    assert composed.url("syncer") not in before.values()
    assert (composed.secrets / "postgres" / "password").read_text() == database
    assert not any(value in rotated.stderr for value in found().values() if value)


def test_a_setting_that_is_wrong_ends_the_start_with_words(composed: Composed, tmp_path: Path) -> None:
    composed.environment |= {"IMAP_PORT": "many"}
    ran = composed.hand_out()
    assert (ran.returncode, "IMAP_PORT" in ran.stderr) == (78, True)
    composed.environment = {}
    ran = composed.hand_out("--directory", str(tmp_path / "missing"))
    assert (ran.returncode, "cannot be kept" in ran.stderr) == (78, True)
    assert json.dumps(ran.stderr).count("Traceback") == 0
