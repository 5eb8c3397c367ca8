"""`mozzart up` with a WEBHOOK_URL: new mail reaches a receiver of another program."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from standardwebhooks import Webhook

from tests.support.dovecot import Dovecot
from tests.support.mail import make_mail
from tests.support.processes import Mozzart

SECRET = "whsec_b3VyLXNlY3JldC1vbmx5LWZvci10ZXN0cy0zMmJ5dGU="

Got = queue.Queue[tuple[dict[str, str], bytes]]


@pytest.fixture
def receiver() -> Iterator[tuple[str, Got]]:
    """Its URL, and what was posted there."""
    got: Got = queue.Queue()

    class Take(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            got.put(({name.lower(): value for name, value in self.headers.items()}, body))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Take) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/hook", got
        server.shutdown()
        thread.join()


def test_new_mail_is_told_to_the_receiver_and_what_was_there_before_is_not(
    dovecot: Dovecot, make_mozzart: Callable[..., Mozzart], receiver: tuple[str, Got]
) -> None:
    url, got = receiver
    dovecot.append(make_mail(1).raw)
    mozzart = make_mozzart(WEBHOOK_URL=url, WEBHOOK_SECRET=SECRET).use(dovecot).start().wait_ready()
    mozzart.wait_stored(1)
    mozzart.wait_log("delivering")
    mozzart.wait_live("idling")
    uid = dovecot.append(make_mail(2).raw)

    headers, body = got.get(timeout=30)
    told = Webhook(SECRET).verify(body, headers)
    assert told["type"] == "mozzart.mail.stored.v1"
    assert told["data"]["uid"] == uid
    assert mozzart.rows("SELECT uid FROM mailbox_app_mailmessage WHERE id = ?", told["data"]["row_id"])[0]["uid"] == uid
    assert mozzart.stop() < 5
    assert got.empty()
    assert SECRET not in mozzart.log_text()
    assert "/hook" not in mozzart.log_text()


@pytest.mark.parametrize("secret", ["", "whsec_c2hvcnQ="])
def test_up_refuses_an_address_without_a_usable_secret(make_mozzart: Callable[..., Mozzart], secret: str) -> None:
    done = make_mozzart(WEBHOOK_URL="https://example.org/", WEBHOOK_SECRET=secret).run("up")
    assert done.returncode == 78
    assert "WEBHOOK_SECRET" in done.stderr
