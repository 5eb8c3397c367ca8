"""schemathesis over everything that /api/openapi.json describes, against the whole program with mail in it.

`SCHEMATHESIS_EXAMPLES` is how many cases each operation gets in fuzzing; with 1000 it takes some minutes.
"""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, assume, given, settings

from mailcore.bus import Bus
from mailcore.events.undelivered import undelivered_headers, undelivered_subject
from tests.support.dovecot import Dovecot
from tests.support.events import expunged, message
from tests.support.mail import make_mail
from tests.support.processes import Mozzart

EXAMPLES = int(os.environ.get("SCHEMATHESIS_EXAMPLES", "10"))
SCHEMATHESIS = Path(sys.executable).with_name("schemathesis")
CONFIGURATION = Path(__file__).with_name("schemathesis.toml")
HOOKS = "tests.acceptance.schemathesis_hooks"
ROOT = Path(__file__).resolve().parents[2]
# Events have no end: their own test reads the beginning alone.
EVENTS = "/api/events/"
# Many: whoever is redriven is gone, and numbers are guessed.
LETTERS = 200
# The api serves so many at once, and finds out only after a while that one has gone.
MOST_READERS = 40
SECRET = "whsec_b3VyLXNlY3JldC1vbmx5LWZvci10ZXN0cy0zMmJ5dGU="


@pytest.fixture
def receiver() -> Iterator[str]:
    """The URL of a webhook's receiver that takes everything."""

    class Take(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Take) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


@pytest.fixture
def mozzart(dovecot: Dovecot, make_mozzart: Callable[..., Mozzart], receiver: str) -> Mozzart:
    """Running, with stored messages, attachments, dead letters and undelivered events."""
    dovecot.append_many([make_mail(number, files=(100, 20_000)).raw for number in range(5)])
    running = make_mozzart(WEBHOOK_URL=receiver, WEBHOOK_SECRET=SECRET, TRUSTED_PROXIES="127.0.0.1").use(dovecot)
    running.start().wait_ready().wait_live("idling").wait_log("delivering")
    running.wait_stored(5)
    asyncio.run(_bury(running, LETTERS))
    return running


async def _bury(mozzart: Mozzart, count: int) -> None:
    bus = await Bus.connect((mozzart.home / "data" / "nats.url").read_text().strip(), name="test")
    try:
        for uid in range(1, count + 1):
            event = message(uid)
            await bus.publish_dead(event.headers(), event.body, "for a test", 5)
            gone = expunged(uid)
            headers = undelivered_headers(gone.headers(), "HTTP 410", 1)
            await bus.dedicated.publish(undelivered_subject(gone.nats_subject), headers, gone.payload())
    finally:
        await bus.close()


@pytest.mark.timeout(90 + EXAMPLES * 3)
def test_no_request_finds_a_fault_or_an_answer_that_is_not_described(mozzart: Mozzart, tmp_path: Path) -> None:
    described = mozzart.http("GET", "/api/openapi.json").json["paths"]
    url = f"http://127.0.0.1:{mozzart.api_port}/api/openapi.json"
    command = [str(SCHEMATHESIS), "--config-file", str(CONFIGURATION), "run", url, "--exclude-path", EVENTS]
    command += ["--header", f"Authorization: Bearer {mozzart.token}", "--checks", "all", "--no-color"]
    command += ["--max-examples", str(EXAMPLES), "--request-timeout", "30"]

    environment = os.environ | {"SCHEMATHESIS_HOOKS": HOOKS, "PYTHONPATH": str(ROOT)}
    ran = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)

    print(ran.stdout)
    assert ran.returncode == 0, f"{ran.stdout}\n{ran.stderr}\n{mozzart.log_text()[-4000:]}"
    # All but the events, and the document itself, which schemathesis reads and does not test.
    assert _number("Tested: +(\\d+)", ran.stdout) == sum(map(len, described.values())) - 2
    assert _number("([\\d,]+) generated", ran.stdout) > 300
    assert "request failed" not in mozzart.log_text()


@pytest.mark.timeout(60 + EXAMPLES * 3)
def test_events_begin_or_are_refused_as_described_whatever_is_asked(mozzart: Mozzart) -> None:
    url = f"http://127.0.0.1:{mozzart.api_port}"
    credentials = {"Authorization": f"Bearer {mozzart.token}"}
    described = schemathesis.openapi.from_url(f"{url}/api/openapi.json", headers=credentials)
    operation = described[EVENTS]["GET"]
    seen = set()

    @settings(
        max_examples=min(EXAMPLES, MOST_READERS),
        phases=(Phase.generate,),
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(
        valid=operation.as_strategy(generation_mode=schemathesis.GenerationMode.POSITIVE),
        invalid=operation.as_strategy(generation_mode=schemathesis.GenerationMode.NEGATIVE),
    )
    def ask(valid: schemathesis.Case, invalid: schemathesis.Case) -> None:
        # Ours are sent in its place, and then nothing may be wrong any more: certainly not where nothing else is sent.
        sent_by_it = {name.lower() for name in invalid.headers or {}}
        assume("authorization" not in sent_by_it)
        assume(invalid.query or "last-event-id" in sent_by_it)
        for case, status, media_type in (
            (valid, 200, "text/event-stream"),
            (invalid, 400, "application/problem+json"),
        ):
            sent = case.as_transport_kwargs(base_url=url, headers=credentials)
            with requests.Session() as session, session.request(**sent, stream=True, timeout=30) as answer:
                seen.add(answer.status_code)
                assert answer.status_code == status, sent
                assert answer.headers["Content-Type"].partition(";")[0] == media_type

    ask()
    assert seen == {200, 400}


def _number(pattern: str, text: str) -> int:
    found = re.search(pattern, text)
    assert found is not None, text
    return int(found[1].replace(",", ""))
