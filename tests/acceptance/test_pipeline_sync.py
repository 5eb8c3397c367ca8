"""POST /api/mailbox/sync/ reconciles now and says what it found."""

from __future__ import annotations

from collections.abc import Callable

from tests.support.dovecot import Dovecot
from tests.support.mail import make_mail
from tests.support.processes import Mozzart

SYNC = "/api/mailbox/sync/"
# Without IDLE in its capabilities a server gives no push, so that nothing but a sweep or we can find mail.
NO_PUSH = "imap_capability = IMAP4rev1 LITERAL+ UIDPLUS ESEARCH CONDSTORE ENABLE UNSELECT"


def test_a_manual_sync_reports_what_it_found_and_the_next_one_finds_nothing(
    make_dovecot: Callable[..., Dovecot], make_mozzart: Callable[..., Mozzart]
) -> None:
    dovecot = make_dovecot(extra=NO_PUSH)
    mozzart = make_mozzart(SYNC_INTERVAL="3600").use(dovecot).start().wait_ready().wait_live("polling")
    assert mozzart.http("POST", SYNC + "?wait=30").status == 200
    mails = [make_mail(number, files=(100,)) for number in range(7)]
    sent = dict(zip(dovecot.append_many([mail.raw for mail in mails]), mails, strict=True))

    first = mozzart.http("POST", SYNC + "?wait=30")
    second = mozzart.http("POST", SYNC + "?wait=30")

    assert first.status == 200, first
    assert {name: first.json[name] for name in ("status", "found", "published", "stored")} == {
        "status": "ok",
        "found": 7,
        "published": 7,
        "stored": 7,
    }
    assert first.json["results"][0]["mailbox"] == "INBOX"
    assert second.json["status"] == "ok"
    assert (second.json["found"], second.json["stored"]) == (0, 0)
    assert second.json["run_id"] != first.json["run_id"]
    mozzart.check_complete(sent)


def test_a_sync_without_wait_is_accepted_and_names_its_run(
    dovecot: Dovecot, make_mozzart: Callable[..., Mozzart]
) -> None:
    mozzart = make_mozzart().use(dovecot).start().wait_ready().wait_live()

    answer = mozzart.http("POST", SYNC, {"account": "default", "mailbox": "INBOX"})

    assert answer.status == 202, answer
    assert answer.json["status"] == "running"
    assert answer.json["mailboxes"] == [{"account": "default", "mailbox": "INBOX"}]
    assert answer.json["run_id"]


def test_a_sync_needs_credentials_and_a_known_mailbox(dovecot: Dovecot, make_mozzart: Callable[..., Mozzart]) -> None:
    mozzart = make_mozzart().use(dovecot).start().wait_ready().wait_live()

    assert mozzart.http("POST", SYNC, token="").status == 401
    assert mozzart.http("POST", SYNC, token="wrong").status == 401
    unknown = mozzart.http("POST", SYNC + "?wait=10", {"account": "default", "mailbox": "No such mailbox"})
    assert unknown.status == 404
    assert unknown.headers["content-type"].startswith("application/problem+json")


def test_without_imap_settings_the_log_and_the_api_say_so_and_the_api_stays_up(
    make_mozzart: Callable[..., Mozzart],
) -> None:
    sentence = "IMAP settings not configured; skipping sync."
    mozzart = make_mozzart().start()
    mozzart.wait_log(sentence)
    mozzart.wait_log("api", within=20)

    answer = mozzart.http_when_up("POST", SYNC)

    assert answer.status == 503
    assert sentence in answer.json["detail"]
    assert mozzart.http("GET", "/healthz").status == 200


def test_a_sync_that_reaches_no_server_says_so_in_words(make_mozzart: Callable[..., Mozzart], dovecot: Dovecot) -> None:
    dovecot.stop()
    mozzart = make_mozzart().use(dovecot).start().wait_ready()
    mozzart.wait_log("syncing")

    answer = mozzart.http_when_up("POST", SYNC + "?wait=20")

    assert answer.status == 502, answer
    assert str(dovecot.port) in str(answer.json)
    assert dovecot.password not in str(answer.json)
