"""Mail of accounts that log in by OAuth, with a provider that locks out whoever loses a refresh token."""

from __future__ import annotations

import random
import re
import time
import urllib.request
from collections.abc import Callable

import psutil
import pytest

from tests.support.mail import make_mail
from tests.support.nats import NatsServer
from tests.support.openid import MakeDovecot, OpenId
from tests.support.processes import Mozzart
from tests.support.programs import wait_until

ROTATIONS = 50


def environment(openid: OpenId, port: int) -> dict[str, str]:
    return {
        "IMAP_HOST": "127.0.0.1",
        "IMAP_PORT": str(port),
        "IMAP_USE_SSL": "False",
        "IMAP_USER": "anna",
        "IMAP_AUTH": "oauth",
        "OAUTH_CLIENT_ID": "client",
        "OAUTH_CLIENT_SECRET": openid.clients["client"],
        "OAUTH_TOKEN_URL": f"{openid.url}/token",
        "OAUTH_AUTHORIZE_URL": f"{openid.url}/authorize",
        "OAUTH_DEVICE_URL": f"{openid.url}/device",
        "OAUTH_SCOPE": "imap",
    }


def secrets_of(openid: OpenId) -> set[str]:
    """Everything that was given out, or proves who asks."""
    tokens = {*openid.accesses, *openid.refreshed, *openid.clients.values()}
    return tokens | {form.get("code", "") for form in openid.asked if form.get("code")}


def lines_of_processes(mozzart: Mozzart) -> str:
    leader = psutil.Process(mozzart.pid)
    return "\n".join(" ".join(process.cmdline()) for process in (leader, *leader.children(recursive=True)))


def assert_nowhere(secrets: set[str], places: dict[str, str | bytes]) -> None:
    assert len(secrets) > 3
    for where, text in places.items():
        data = text if isinstance(text, bytes) else text.encode()
        assert not [secret for secret in secrets if secret.encode() in data], where


def wait_synced(mozzart: Mozzart, count: int) -> None:
    """Whoever asks for a sync of an account that was refused waits until five seconds after the last try."""

    def synced() -> bool:
        return bool(mozzart.http("POST", "/api/mailbox/sync/?wait=5").status == 200 and mozzart.stored() == count)

    wait_until(synced, mozzart.log_text, within=40, every=0.5)


@pytest.mark.parametrize("mechanism", ["oauthbearer", "xoauth2"])
def test_who_signs_in_by_browser_has_mail_stored_and_no_secret_is_anywhere(
    make_mozzart: Callable[..., Mozzart], make_oauth_dovecot: MakeDovecot, openid: OpenId, mechanism: str
) -> None:
    dovecot = make_oauth_dovecot(f"auth_mechanisms = plain {mechanism}")
    mozzart = make_mozzart(LOG_LEVEL="DEBUG", **environment(openid, dovecot.port))
    mozzart.environment["IMAP_TRACE"] = str(mozzart.home / "imap.trace")
    first = mozzart.run("doctor")
    assert "nobody has signed in as 'anna' yet. Do so: `mozzart accounts authorize default`" in first.stdout

    mozzart.start("accounts", "authorize", "--no-browser")
    found = wait_until(lambda: re.search(r"^http\S+/authorize\S+$", mozzart.log_text(), re.MULTILINE), mozzart.log_text)
    with urllib.request.urlopen(found[0], timeout=20) as page:
        assert "You are signed in" in page.read().decode()
    wait_until(lambda: "✓ default: anna logged in at 127.0.0.1" in mozzart.log_text(), mozzart.log_text)
    mozzart.stop()

    mozzart.start().wait_ready().wait_live("idling")
    dovecot.append(make_mail(1, files=(1000,)).raw)
    mozzart.wait_stored(1)
    openid.expire()
    dovecot.restart()
    dovecot.append(make_mail(2).raw)
    wait_synced(mozzart, 2)
    assert mozzart.run("doctor").returncode == 0
    assert mozzart.run("verify").returncode == 0
    assert len(openid.refreshed) >= 1

    commands = lines_of_processes(mozzart)
    states = mozzart.http("GET", "/api/mailbox/states/").text
    mozzart.stop()
    places: dict[str, str | bytes] = {"processes": commands, "states": states}
    for path in mozzart.home.rglob("*"):
        if path.is_file():
            places[str(path.relative_to(mozzart.home))] = path.read_bytes()
    assert {"log.txt", "imap.trace", "data/mozzart.db"} <= places.keys()
    assert any("nats" in name for name in places)
    assert_nowhere(secrets_of(openid), places)


def test_a_sign_in_that_is_revoked_is_told_to_whoever_looks_and_a_new_one_mends_it(
    make_mozzart: Callable[..., Mozzart], make_oauth_dovecot: MakeDovecot, openid: OpenId
) -> None:
    dovecot = make_oauth_dovecot()
    mozzart = make_mozzart(**environment(openid, dovecot.port))
    mozzart.environment["OAUTH_GRANT"] = "device_code"
    grant = openid.sign_in("anna")
    mozzart.environment["OAUTH_REFRESH_TOKEN"] = grant.refresh
    grant.revoked = True
    mozzart.start().wait_ready()
    words = "Sign in again: `mozzart accounts authorize default`"
    wait_until(lambda: words in mozzart.http("GET", "/api/mailbox/states/").text, mozzart.log_text)
    assert words in mozzart.run("status").stdout.replace("\n", " ") or "Sign in again" in mozzart.log_text()

    dovecot.append(make_mail(1).raw)
    openid.types = "anna"
    signing = mozzart.run("accounts", "authorize")
    assert f"Open {openid.url}/type in any browser and type the code ABCD-EFGH" in signing.stdout
    assert signing.returncode == 0

    wait_synced(mozzart, 1)


def test_a_syncer_that_is_killed_at_any_moment_is_never_locked_out(
    make_mozzart: Callable[..., Mozzart], make_oauth_dovecot: MakeDovecot, openid: OpenId, nats_server: NatsServer
) -> None:
    """The provider says that each token is over at once, so each login rotates the refresh token."""
    chance, dovecot = random.Random(5), make_oauth_dovecot()
    openid.expires_in, openid.lives, openid.delay = 0.01, 3600, 0.05
    grant = openid.sign_in("anna")
    mozzart = make_mozzart(
        **environment(openid, dovecot.port), NATS_URL=nats_server.url, OAUTH_REFRESH_TOKEN=grant.refresh
    )
    assert mozzart.run("db", "upgrade").returncode == 0
    kills, end = 0, time.monotonic() + 100
    while grant.rotations < ROTATIONS and time.monotonic() < end:
        mozzart.start("syncer")
        asked = len(openid.asked)
        wait_until(lambda asked=asked: len(openid.asked) > asked, mozzart.log_text, every=0.002)
        time.sleep(chance.uniform(0, 0.25))  # before the rotation, after it, before and after the commit, at the login
        mozzart.kill_supervisor()
        kills += 1
    assert grant.rotations >= ROTATIONS
    assert kills >= ROTATIONS // 4
    assert not grant.revoked
    openid.delay = 0.0
    mozzart.start("syncer")
    mozzart.wait_log("state=idling")
    assert "account refused" not in mozzart.log_text()
    mozzart.stop()
