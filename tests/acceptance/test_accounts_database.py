"""Accounts come into the database while everything runs; the others notice nothing, and no secret is anywhere."""

from __future__ import annotations

import asyncio
import json
import subprocess
import time
from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from mailcore.bus import MAIL, MAIL_BACKFILL, MAIL_EVENTS, Bus
from tests.support.accounts import as_user, live, table, wait_idling, write_accounts
from tests.support.dovecot import Dovecot
from tests.support.mail import make_mail
from tests.support.openid import MakeDovecot, OpenId
from tests.support.processes import MOZZART, Mozzart
from tests.support.programs import wait_until
from tests.support.proxy import Proxy

HIDDEN = "hidden-pass-8861"


def command(mozzart: Mozzart, *arguments: str, secret: str = "") -> subprocess.CompletedProcess[str]:
    if not secret:
        return mozzart.run("accounts", *arguments)
    return subprocess.run(
        [MOZZART, "accounts", *arguments],
        cwd=mozzart.home,
        env=mozzart.settings,
        input=f"{secret}\n",
        capture_output=True,
        text=True,
        timeout=60,
    )


def add(mozzart: Mozzart, dovecot: Dovecot, name: str, port: int, *more: str) -> subprocess.CompletedProcess[str]:
    where = ("--host", "127.0.0.1", "--port", str(port), "--tls", "none")
    return command(mozzart, "add", name, *where, *more, secret=dovecot.password)


def listed(mozzart: Mozzart) -> dict[str, dict[str, Any]]:
    lines = command(mozzart, "list", "--json").stdout.splitlines()
    return {one["name"]: one for one in map(json.loads, lines)}


@pytest.mark.timeout(240)
def test_the_first_account_is_added_while_it_runs_and_changes_touch_no_other(
    make_dovecot: Callable[..., Dovecot], make_mozzart: Callable[..., Mozzart], make_proxy: Callable[[int], Proxy]
) -> None:
    dovecot = make_dovecot(password=HIDDEN)
    mozzart = make_mozzart(SYNC_INTERVAL="3600", ACCOUNT_HOSTS="127.0.0.1")
    anna, bert = make_proxy(dovecot.port), make_proxy(dovecot.port)
    mozzart.start().wait_ready()
    mozzart.wait_log("IMAP settings not configured; skipping sync.")
    assert "No account yet" in command(mozzart, "list").stdout
    as_user(dovecot, "anna").append(make_mail(1).raw)

    added = add(mozzart, dovecot, "anna", anna.port)
    assert (added.returncode, "Added anna." in added.stdout) == (0, True), added
    wait_until(lambda: mozzart.stored() == 1, lambda: mozzart.log_text()[-3000:], within=20)
    wait_idling(mozzart, "anna")
    before, connections = live(mozzart)["anna"]["since"], anna.accepted

    assert add(mozzart, dovecot, "bert", bert.port).returncode == 0
    assert "already" in add(mozzart, dovecot, "anna", anna.port, "--no-test").stderr
    wait_idling(mozzart, "anna", "bert")
    assert {name: one["state"] for name, one in listed(mozzart).items()} == {"anna": "ok", "bert": "ok"}

    assert command(mozzart, "pause", "bert").returncode == 0
    wait_until(lambda: live(mozzart).keys() == {"anna"}, "it is logged out", within=5)
    assert listed(mozzart)["bert"]["state"] == "paused"
    assert command(mozzart, "test", "bert").returncode == 0
    as_user(dovecot, "bert").append(make_mail(1).raw)
    assert command(mozzart, "resume", "bert").returncode == 0
    wait_until(lambda: mozzart.stored() == 2, "what came meanwhile", within=20)

    assert command(mozzart, "rotate-key").stdout.startswith("2 accounts are encrypted under the first key")
    assert command(mozzart, "test", "anna").returncode == 0
    assert command(mozzart, "remove", "bert", "--yes").returncode == 0
    wait_until(lambda: live(mozzart).keys() == {"anna"}, "it is removed", within=5)
    assert command(mozzart, "remove", "bert", "--yes").returncode == 1
    assert mozzart.stored() == 2, "its mail stays"

    assert live(mozzart)["anna"]["since"] == before, "the same IDLE"
    assert anna.accepted <= connections + 4, "two tests of ours, and perhaps one to look with"
    assert HIDDEN not in mozzart.log_text()
    assert mozzart.run("backup", str(mozzart.home / "kept.tar")).returncode == 0
    assert mozzart.stop() < 5
    found = [path for path in mozzart.home.rglob("*") if path.is_file() and HIDDEN.encode() in path.read_bytes()]
    assert found == []


def test_a_change_reaches_the_syncer_within_a_second(dovecot: Dovecot, make_mozzart: Callable[..., Mozzart]) -> None:
    mozzart = make_mozzart(ACCOUNT_HOSTS="127.0.0.1").start().wait_ready()
    assert add(mozzart, dovecot, "swift", dovecot.port, "--no-test").returncode == 0
    began = time.monotonic()
    wait_until(lambda: "swift" in live(mozzart), "it is there", within=5)
    assert time.monotonic() - began < 1


def test_one_name_comes_from_one_source_only(
    dovecot: Dovecot, make_mozzart: Callable[..., Mozzart], tmp_path: Path
) -> None:
    mozzart = make_mozzart(ACCOUNTS_FILE="accounts.toml", ACCOUNT_HOSTS="127.0.0.1")
    file = write_accounts(mozzart.home / "accounts.toml", [table(dovecot, "anna")])
    mozzart.start().wait_ready()
    refused = add(mozzart, dovecot, "anna", dovecot.port)
    assert refused.returncode == 78
    assert "one source only" in refused.stderr
    assert add(mozzart, dovecot, "bert", dovecot.port).returncode == 0
    wait_idling(mozzart, "anna", "bert")

    write_accounts(file, [table(dovecot, "anna"), table(dovecot, "bert")])
    mozzart.hang_up()

    mozzart.wait_log("account not synced")
    assert "must be of one" in mozzart.log_text()
    wait_idling(mozzart, "anna", "bert")


def test_a_host_inside_is_refused_until_it_is_named(dovecot: Dovecot, make_mozzart: Callable[..., Mozzart]) -> None:
    mozzart = make_mozzart().start().wait_ready()
    refused = add(mozzart, dovecot, "anna", dovecot.port)
    assert refused.returncode == 1
    assert "no address that accounts may be connected to" in refused.stdout
    assert add(mozzart, dovecot, "anna", dovecot.port, "--no-test").returncode == 0
    wait_until(lambda: listed(mozzart)["anna"]["state"] == "failing", lambda: str(listed(mozzart)), within=20)
    assert "ACCOUNT_HOSTS" in listed(mozzart)["anna"]["reason"]


def account_events(mozzart: Mozzart) -> list[str]:
    """The states that were told, the first one first."""

    async def heard() -> list[str]:
        bus = await Bus.connect((mozzart.home / "data" / "nats.url").read_text().strip(), name="test")
        try:
            left = {stream: (await bus.position(stream)).last_seq for stream in (MAIL, MAIL_BACKFILL, MAIL_EVENTS)}
            states: list[str] = []
            async with asyncio.timeout(30), aclosing(bus.tail("mail.*.*.*", since="all")) as deliveries:
                while any(left.values()):
                    event = await anext(deliveries)
                    if event.subject.endswith("._.account"):
                        states.append(json.loads(event.data)["state"])
                    if event.seq >= left[event.stream]:
                        left[event.stream] = 0
            return states
        finally:
            await bus.close()

    return asyncio.run(heard())


def test_the_api_adds_changes_tries_pauses_and_removes_and_tells_no_secret(
    make_dovecot: Callable[..., Dovecot], make_mozzart: Callable[..., Mozzart]
) -> None:
    dovecot = make_dovecot(password=HIDDEN)
    mozzart = make_mozzart(ACCOUNT_HOSTS="127.0.0.1").start().wait_ready()
    told: list[str] = []

    def ask(method: str, path: str, body: dict[str, Any] | None = None) -> tuple[int, Any]:
        answer = mozzart.http(method, f"/api/accounts/{path}", body)
        told.append(json.dumps(answer.json))
        return answer.status, answer.json

    new = {"name": "anna", "host": "127.0.0.1", "port": dovecot.port, "user": "anna", "use_ssl": False}
    assert ask("GET", "") == (200, {"accounts": []})
    assert ask("POST", "", new)[0] == 400, "the password is missing"
    status, refused = ask("POST", "", new | {"password": HIDDEN, "mailboxes": ["\u0007"]})
    assert (status, "mailboxes: " in refused["detail"]) == (400, True)
    status, added = ask("POST", "", new | {"password": HIDDEN})
    assert (status, added["source"], added["settings"]["port"]) == (201, "database", dovecot.port)
    assert ask("POST", "", new | {"password": HIDDEN})[0] == 409
    wait_until(lambda: ask("GET", "anna/")[1]["state"] == "ok", lambda: told[-1], within=60)

    wait_until(lambda: account_events(mozzart) == ["ok"], lambda: str(account_events(mozzart)), within=10)
    status, tried = ask("POST", "anna/test/")
    assert (status, tried["ok"], tried["steps"][-1]["name"]) == (200, True, "capabilities")
    assert ask("POST", "anna/pause/")[1]["state"] == "paused"
    assert ask("POST", "anna/resume/")[1]["state"] in ("starting", "ok")
    status, refused = ask("PATCH", "anna/", {"port": dovecot.tls_port})
    assert (status, "enter the password again" in refused["detail"]) == (400, True)
    status, changed = ask("PATCH", "anna/", {"password": "hidden-other", "mailboxes": ["*"]})
    assert (status, changed["settings"]["mailboxes"]) == (200, ["*"])
    wait_until(lambda: ask("GET", "anna/")[1]["state"] == "failing", lambda: told[-1], within=20)
    assert "login of 'anna' refused" in ask("GET", "anna/")[1]["reason"]
    assert ask("POST", "anna/test/")[1]["steps"][-1] | {"ms": 0, "words": ""} == {
        "name": "login",
        "status": "failed",
        "words": "",
        "ms": 0,
    }
    assert ask("DELETE", "anna/")[1]["state"] == "removed"
    wait_until(lambda: account_events(mozzart)[-1:] == ["removed"], lambda: str(account_events(mozzart)), within=10)
    # States are looked at twice a second: a pause that is resumed at once may be told, or not.
    heard = [state for state in account_events(mozzart) if state != "paused"]
    assert list(dict.fromkeys(heard)) == ["ok", "failing", "removed"]
    for method, path in (
        ("PATCH", "nobody/"),
        ("DELETE", "nobody/"),
        ("POST", "nobody/pause/"),
        ("POST", "nobody/test/"),
    ):
        assert ask(method, path, {})[0] == 404, path

    for secret in (HIDDEN, "hidden-other"):
        assert secret not in "\n".join(told)
        assert secret not in mozzart.log_text()
        assert secret.encode() not in mozzart.database.read_bytes()


def test_the_api_adds_and_changes_an_account_that_gets_access_tokens(
    make_oauth_dovecot: MakeDovecot, openid: OpenId, make_mozzart: Callable[..., Mozzart]
) -> None:
    dovecot = make_oauth_dovecot()
    dovecot.append(make_mail(1).raw)
    mozzart = make_mozzart(ACCOUNT_HOSTS="127.0.0.1").start().wait_ready()
    told: list[str] = []

    def ask(method: str, path: str, body: dict[str, Any] | None = None) -> tuple[int, Any]:
        answer = mozzart.http(method, f"/api/accounts/{path}", body)
        told.append(answer.text)
        return answer.status, answer.json

    grant = openid.sign_in("anna")
    secret, begun = openid.clients["client"], grant.refresh
    oauth = {"client_id": "client", "token_url": f"{openid.url}/token", "refresh_token": begun}
    new = {"name": "anna", "host": "127.0.0.1", "port": dovecot.port, "user": "anna", "use_ssl": False, "auth": "oauth"}
    status, refused = ask("POST", "", new)
    assert (status, "oauth: is missing" in refused["detail"]) == (400, True)
    assert ask("POST", "", new | {"auth": "command"})[0] == 400
    assert ask("POST", "", new | {"oauth": oauth | {"service_account_file": "/etc/passwd"}})[0] == 400
    status, refused = ask("POST", "", new | {"oauth": oauth, "password": HIDDEN})
    assert (status, "password: is not used with auth = oauth" in refused["detail"]) == (400, True)

    status, added = ask("POST", "", new | {"oauth": oauth})
    assert (status, added["settings"]["auth"], added["settings"]["oauth"]["client_id"]) == (201, "oauth", "client")
    wait_until(lambda: ask("GET", "anna/")[1]["state"] == "failing", lambda: told[-1], within=20)
    assert "client_secret" in ask("GET", "anna/")[1]["reason"], "which settings to check"
    status, changed = ask("PATCH", "anna/", {"oauth": {"client_secret": secret}})
    assert (status, changed["settings"]["oauth"]["client_id"]) == (200, "client")
    mozzart.wait_stored(1)
    status, refused = ask("PATCH", "anna/", {"oauth": {"token_url": f"{openid.url}/other"}})
    assert (status, "enter the client_secret and refresh_token again" in refused["detail"]) == (400, True)

    status, changed = ask("PATCH", "anna/", {"auth": "password", "password": dovecot.password})
    assert (status, changed["settings"]["auth"], changed["settings"]["oauth"]) == (200, "password", None)
    wait_until(lambda: ask("GET", "anna/")[1]["state"] == "ok", lambda: told[-1], within=20)

    given = {secret, begun, HIDDEN, dovecot.password, *openid.refreshed, *openid.accesses}
    assert len(openid.refreshed) >= 1
    for one in given:
        assert one not in "\n".join(told)
        assert one not in mozzart.log_text()
        assert one.encode() not in mozzart.database.read_bytes()


def test_an_account_is_removed_with_its_mail_whatever_is_killed_meanwhile(
    dovecot: Dovecot, make_mozzart: Callable[..., Mozzart]
) -> None:
    mozzart = make_mozzart(ACCOUNT_HOSTS="127.0.0.1").start().wait_ready()
    count = 150
    for number in range(1, count + 1):
        dovecot.append(make_mail(number, files=(1000,)).raw)
    new = {"name": "anna", "host": "127.0.0.1", "port": dovecot.port, "user": dovecot.user, "use_ssl": False}
    new["password"] = dovecot.password
    assert mozzart.http("POST", "/api/accounts/", new).status == 201
    mozzart.wait_stored(count, within=60)
    files = mozzart.media / "mail_attachments"
    assert sum(path.is_file() for path in files.rglob("*")) == count

    assert mozzart.http("DELETE", "/api/accounts/anna/?mail=burn").status == 400
    removed = mozzart.http("DELETE", "/api/accounts/anna/?mail=delete")
    assert (removed.status, removed.json["state"]) == (200, "deleting")
    assert mozzart.http("POST", "/api/accounts/", new).status == 409, "the name is taken meanwhile"
    wait_until(lambda: mozzart.stored() < count, lambda: mozzart.log_text()[-3000:], within=20, every=0.02)
    mozzart.kill("consumer")
    wait_until(
        lambda: mozzart.http("GET", "/api/accounts/anna/").status == 404,
        lambda: str(mozzart.http("GET", "/api/accounts/").json) + mozzart.log_text()[-3000:],
        within=60,
    )
    assert mozzart.rows("SELECT count(*) AS n FROM mailbox_app_mailmessage")[0]["n"] == 0
    assert mozzart.rows("SELECT count(*) AS n FROM mailbox_app_mailattachment")[0]["n"] == 0
    assert mozzart.rows("SELECT count(*) AS n FROM mailbox_app_mailboxstate")[0]["n"] == 0
    assert [path for path in files.rglob("*") if path.is_file()] == []

    # By the same name it would begin when NATS has forgotten what was published, within two minutes.
    assert mozzart.http("POST", "/api/accounts/", new | {"name": "berta"}).status == 201
    mozzart.wait_stored(count, within=60)
    assert sum(path.is_file() for path in files.rglob("*")) == count
    assert command(mozzart, "remove", "berta", "--yes", "--mail", "delete").returncode == 0
    wait_until(lambda: mozzart.http("GET", "/api/accounts/berta/").status == 404, "all is gone", within=60)
    assert mozzart.stored() == 0
