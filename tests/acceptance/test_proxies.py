"""The proxies of examples/proxy, real ones, before a real api."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.support.dovecot import Dovecot
from tests.support.front import NAME, Front
from tests.support.mail import make_mail
from tests.support.processes import Mozzart
from tests.support.programs import answers, wait_until

KINDS = ("nginx", "caddy")


@pytest.fixture
def make_front() -> Iterator[Callable[[str, int], Front]]:
    with ExitStack() as stack:

        def make(kind: str, upstream: int) -> Front:
            front = Front(kind, upstream)
            stack.callback(front.close)
            return front.start()

        yield make


@pytest.mark.parametrize("kind", KINDS)
def test_forwarded_headers_are_the_proxys_own(make_front: Callable[[str, int], Front], kind: str) -> None:
    seen: list[list[tuple[str, str]]] = []

    class Take(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append([(name.lower(), value) for name, value in self.headers.items()])
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Take) as upstream:
        thread = threading.Thread(target=upstream.serve_forever)
        thread.start()
        try:
            with closing(make_front(kind, upstream.server_port).connect()) as connection:
                lies = {"X-Forwarded-For": "192.0.2.66", "X-Forwarded-Proto": "gopher", "Forwarded": "for=192.0.2.66"}
                connection.request("GET", "/", headers={"Host": NAME, **lies})
                assert connection.getresponse().status == 204
        finally:
            upstream.shutdown()
            thread.join()

    got = dict(seen[0])
    assert [value for name, value in seen[0] if name == "x-forwarded-for"] == ["127.0.0.1"]
    assert [value for name, value in seen[0] if name == "x-forwarded-proto"] == ["https"]
    assert got["host"] == NAME
    assert "forwarded" not in got


def test_the_api_behind_them_pages_events_and_what_an_error_means(
    dovecot: Dovecot, make_mozzart: Callable[..., Mozzart], make_front: Callable[[str, int], Front]
) -> None:
    mozzart = make_mozzart(ALLOWED_HOSTS=NAME).use(dovecot).start()
    wait_until(lambda: answers(mozzart.api_port), lambda: mozzart.log_text()[-4000:], within=30)
    fronts = {kind: make_front(kind, mozzart.api_port) for kind in KINDS}
    bearer = {"Host": NAME, "Authorization": f"Bearer {mozzart.token}"}

    for front in fronts.values():
        with closing(front.connect()) as connection:
            connection.request("GET", "/healthz", headers={"Host": NAME})
            answer = connection.getresponse()
            assert (answer.status, json.load(answer)) == (200, {"status": "alive"})
            assert answer.headers["Strict-Transport-Security"]
            connection.request("GET", "/api/messages/", headers={"Host": NAME})
            unknown = connection.getresponse()
            assert unknown.status == 401
            unknown.read()

    # One event reaches the readers behind both of them while it is the only one.
    with ExitStack() as stack:
        readers = []
        for front in fronts.values():
            connection = stack.enter_context(closing(front.connect(timeout=20)))
            connection.request("GET", "/api/events/?type=stored", headers=bearer)
            answer = connection.getresponse()
            assert answer.status == 200
            assert answer.readline().startswith(b"retry:"), "the first line comes before the first event"
            readers.append(answer)
        dovecot.append(make_mail(1).raw)
        for answer in readers:
            line = wait_until(
                lambda answer=answer: line if (line := answer.readline()).startswith(b"data:") else None, "data"
            )
            assert json.loads(line.removeprefix(b"data:"))["type"] == "stored"

    # 400: a name that ALLOWED_HOSTS does not have. Caddy serves only the names of its own configuration.
    with closing(fronts["nginx"].connect()) as connection:
        connection.request("GET", "/healthz", headers={"Host": "other.example.com"})
        refused = connection.getresponse()
        assert refused.status == 400
        assert "ALLOWED_HOSTS" in json.load(refused)["detail"]

    # 502: nobody listens behind it.
    mozzart.stop()
    for front in fronts.values():
        with closing(front.connect()) as connection:
            connection.request("GET", "/healthz", headers={"Host": NAME})
            assert connection.getresponse().status == 502
