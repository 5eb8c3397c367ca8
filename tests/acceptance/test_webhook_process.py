"""`mozzart up` with a WEBHOOK_URL: new mail reaches a receiver of another program."""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from standardwebhooks import Webhook

from tests.support.dovecot import Dovecot
from tests.support.mail import make_mail
from tests.support.processes import Mozzart

SECRET = "whsec_b3VyLXNlY3JldC1vbmx5LWZvci10ZXN0cy0zMmJ5dGU="

Got = queue.Queue[tuple[dict[str, str], bytes]]


@dataclass
class Receiver:
    """Its URL, what was posted there, and what it answers next (when it has nothing left: 204)."""

    url: str
    got: Got = field(default_factory=queue.Queue)
    answers: list[int] = field(default_factory=list)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver("")

    class Take(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            made.got.put(({name.lower(): value for name, value in self.headers.items()}, body))
            self.send_response(made.answers.pop(0) if made.answers else 204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Take) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        made.url = f"http://127.0.0.1:{server.server_port}/hook"
        yield made
        server.shutdown()
        thread.join()


def test_new_mail_is_told_to_the_receiver_and_what_was_there_before_is_not(
    dovecot: Dovecot, make_mozzart: Callable[..., Mozzart], receiver: Receiver
) -> None:
    dovecot.append(make_mail(1).raw)
    mozzart = make_mozzart(WEBHOOK_URL=receiver.url, WEBHOOK_SECRET=SECRET).use(dovecot).start().wait_ready()
    mozzart.wait_stored(1)
    mozzart.wait_log("delivering")
    mozzart.wait_live("idling")
    uid = dovecot.append(make_mail(2).raw)

    headers, body = receiver.got.get(timeout=30)
    told = Webhook(SECRET).verify(body, headers)
    assert told["type"] == "mozzart.mail.stored.v1"
    assert told["data"]["uid"] == uid
    assert mozzart.rows("SELECT uid FROM mailbox_app_mailmessage WHERE id = ?", told["data"]["row_id"])[0]["uid"] == uid
    assert mozzart.stop() < 5
    assert receiver.got.empty()
    assert SECRET not in mozzart.log_text()
    assert "/hook" not in mozzart.log_text()


def test_what_the_receiver_wants_no_more_is_told_everywhere_and_can_be_sent_again(
    dovecot: Dovecot, make_mozzart: Callable[..., Mozzart], receiver: Receiver
) -> None:
    mozzart = make_mozzart(WEBHOOK_URL=receiver.url, WEBHOOK_SECRET=SECRET).use(dovecot).start().wait_ready()
    mozzart.wait_live("idling")
    mozzart.wait_log("delivering")
    receiver.answers = [410, 500]
    dovecot.append(make_mail(1).raw)
    first = receiver.got.get(timeout=30)
    mozzart.wait_log("given-up")

    (entry,) = [
        json.loads(line) for line in mozzart.run("dead-letters", "list", "--webhook", "--json").stdout.split("\n")[:-1]
    ]
    assert (entry["error"], entry["type"]) == ("HTTP 410", "stored")
    assert entry["event_id"] in mozzart.run("dead-letters", "list", "--webhook").stdout
    assert "did not take 1 event" in mozzart.run("dead-letters", "list").stdout
    assert "did not take 1 event" in mozzart.run("status").stdout
    assert "did not take 1 event" in mozzart.run("doctor").stdout
    number = str(entry["seq"])
    shown = mozzart.run("dead-letters", "show", number, "--webhook")
    assert "HTTP 410" in shown.stdout
    raw = mozzart.run("dead-letters", "show", number, "--webhook", "--raw").stdout
    assert json.loads(raw) == json.loads(first[1])["data"]

    refused = mozzart.run("dead-letters", "redrive", "--webhook", number)
    assert (refused.returncode, refused.stdout) == (1, f"✗ {number}  {entry['event_id']}  not taken: HTTP 500\n")
    taken = mozzart.run("dead-letters", "redrive", "--webhook", "--all")
    assert (taken.returncode, taken.stdout) == (0, f"✓ {number}  {entry['event_id']}  delivered\n")
    again = [receiver.got.get(timeout=10) for _ in range(2)]
    assert [(headers["webhook-id"], body) for headers, body in again] == [(first[0]["webhook-id"], first[1])] * 2
    assert "took all there was" in mozzart.run("dead-letters", "list", "--webhook").stdout
    missing = mozzart.run("dead-letters", "show", number, "--webhook")
    assert (missing.returncode, missing.stderr.count("\n")) == (1, 1)
    assert "list --webhook" in missing.stderr


@pytest.mark.parametrize("secret", ["", "whsec_c2hvcnQ="])
def test_up_refuses_an_address_without_a_usable_secret(make_mozzart: Callable[..., Mozzart], secret: str) -> None:
    done = make_mozzart(WEBHOOK_URL="https://example.org/", WEBHOOK_SECRET=secret).run("up")
    assert done.returncode == 78
    assert "WEBHOOK_SECRET" in done.stderr
