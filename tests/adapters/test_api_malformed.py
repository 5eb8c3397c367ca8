"""What is no request, or a broken one, over real sockets and without credentials: few words, no secret, no fault."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import logging
import select
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import structlog
from aiohttp import web
from hypothesis import given, settings
from hypothesis import strategies as st

from api.dependencies import Dependencies
from api.guard.malformed import Runner
from api.main import application
from mailcore import log as log_setup
from mailcore.settings import Settings

SECRET = b"MySecretToken"
AUTH = b"Authorization: Bearer " + SECRET + b"\r\n"
HEAD = b"Host: 127.0.0.1\r\n" + AUTH
LOGIN = b"POST /admin/login/ HTTP/1.1\r\nHost: 127.0.0.1\r\n"
FORM = LOGIN + b"Content-Type: application/x-www-form-urlencoded\r\n"
CHUNKED = FORM + b"Transfer-Encoding: chunked\r\n\r\n"

NO_REQUEST = {
    "a header line without a colon": b"GET / HTTP/1.1\r\n" + HEAD + b"X y\r\n\r\n",
    "a TLS hello": b"\x16\x03\x01\x00\xc8\x01\x00\x00\xc4\x03\x03" + bytes(range(200)),
    "a header line that is too long": b"GET / HTTP/1.1\r\nAuthorization: Bearer " + SECRET + b"x" * 9000 + b"\r\n\r\n",
    "a request line that is too long": b"GET /" + SECRET * 1000 + b" HTTP/1.1\r\n\r\n",
    "too many headers": b"GET / HTTP/1.1\r\n" + AUTH + b"".join(b"X-%d: y\r\n" % n for n in range(300)) + b"\r\n",
    "a blank before the colon": b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization : Bearer " + SECRET + b"\r\n\r\n",
    "a folded header line": b"GET / HTTP/1.1\r\nAuthorization: Bearer " + SECRET + b"\r\n folded\r\n\r\n",
    "NUL in the path": b"GET /heal\0thz HTTP/1.1\r\n" + HEAD + b"\r\n",
    "NUL in a header": b"GET /healthz HTTP/1.1\r\n" + HEAD + b"X: a\0b\r\n\r\n",
    "nothing but NULs": bytes(100),
    "a method that is none": b"G3T@ /healthz HTTP/1.1\r\n" + HEAD + b"\r\n",
    "another version": b"GET /healthz HTTP/9.9\r\n" + HEAD + b"\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "two hosts": b"GET /healthz HTTP/1.1\r\n" + HEAD + b"Host: 127.0.0.1\r\n\r\n",
    "no host": b"GET /healthz HTTP/1.1\r\n" + AUTH + b"\r\n",
    "a Content-Length of letters": LOGIN + AUTH + b"Content-Length: abc\r\n\r\nabc",
    "a negative Content-Length": LOGIN + AUTH + b"Content-Length: -3\r\n\r\nabc",
    "two Content-Lengths": LOGIN + AUTH + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
    "an endless Content-Length": FORM + AUTH + b"Content-Length: 9999999999999999999999\r\n\r\nabcd",
    "a length beside chunks": LOGIN + AUTH + b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\nabc",
    "a chunk size that is none": CHUNKED + b"ZZ\r\n" + SECRET + b"\r\n",
    "a negative chunk size": CHUNKED + b"-1\r\nabc\r\n",
    "an endless chunk": CHUNKED + b"ffffffffffffffffff\r\nabc\r\n",
    "a later chunk that is broken": CHUNKED + b"3\r\nabc\r\nQQ\r\n",
    "a target without an end": b"GET http://[::1/healthz HTTP/1.1\r\n" + HEAD + b"\r\n",
    "bytes in the target": b"GET /admin/\xed\xa0\x80/?\xff HTTP/1.1\r\n" + HEAD + b"\r\n",
    "SSH": b"SSH-2.0-OpenSSH_9.6\r\n",
    "SMTP": b"EHLO me\r\nAUTH PLAIN " + SECRET + b"\r\n",
    "Redis": b"*1\r\n$4\r\nPING\r\n",
    "the PROXY protocol": b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\nGET / HTTP/1.1\r\n\r\n",
}
BROKEN_BODIES = {
    "gzip": FORM + b"Content-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc",
    "deflate": FORM + b"Content-Encoding: deflate\r\nContent-Length: 3\r\n\r\nabc",
    "br": FORM + b"Content-Encoding: br\r\nContent-Length: 3\r\n\r\nabc",
    "zstd": FORM + b"Content-Encoding: zstd\r\nContent-Length: 3\r\n\r\nabc",
    "gzip in chunks": FORM + b"Content-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
}


@dataclass(frozen=True)
class Server:
    port: int
    log: io.StringIO

    def ask(self, *sent: bytes) -> bytes:
        """What is answered until it closes, or to the end of the first answer's head and what came with it."""
        answer = b""
        with contextlib.suppress(ConnectionError), socket.create_connection(("127.0.0.1", self.port), 10) as connection:
            for part in sent:
                connection.sendall(part)
            readable, _, _ = select.select([connection], [], [], 0.5)
            if not readable:
                connection.shutdown(socket.SHUT_WR)  # it waits for more of a request, and there is none
            while part := connection.recv(1 << 16):
                answer += part
                head = answer.partition(b"\r\n\r\n")[0]
                if head != answer and answer.startswith(b"HTTP/1.1 ") and b"\r\nConnection: close" not in head:
                    break
        return answer

    def status(self, *sent: bytes) -> int:
        """Of the first answer; 0 when the connection was closed without one."""
        answer = self.ask(*sent)
        return int(answer.split(b" ", 2)[1]) if answer else 0

    def said(self) -> list[str]:
        return [line for line in self.log.getvalue().splitlines() if "nats not reached" not in line]


@pytest.fixture(scope="module", params=["INFO", "DEBUG"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    home = tmp_path_factory.mktemp("malformed")
    with _serving(home, request.param) as made:
        yield made


@pytest.fixture(scope="module")
def any_host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """It believes whatever its clients say of themselves."""
    home = tmp_path_factory.mktemp("malformed-any")
    with _serving(home, "INFO", allowed_hosts="*", trusted_proxies="127.0.0.0/8") as made:
        yield made


@contextlib.contextmanager
def _serving(home: Path, level: str, **more: str) -> Iterator[Server]:
    stream, root = io.StringIO(), logging.getLogger()
    handlers, before = root.handlers[:], root.level
    values: dict[str, str] = {"nats_url": "nats://127.0.0.1:1", "log_level": level, **more}
    made = Settings(_env_file=None, data_dir=home, database_url=f"sqlite+aiosqlite:///{home}/test.db", **values)  # type: ignore[arg-type]  # as the environment gives them
    log_setup.configure(made, "api", stream=stream)
    ports: list[int] = []
    ready, stop = threading.Event(), threading.Event()

    async def serve() -> None:
        dependencies = await Dependencies.open(made)
        runner = Runner(application(dependencies, "another token, of forty letters or more"), shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        ports.append(runner.addresses[0][1])
        ready.set()
        await asyncio.to_thread(stop.wait)
        await runner.cleanup()
        await dependencies.close()

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    try:
        assert ready.wait(20)
        yield Server(ports[0], stream)
    finally:
        stop.set()
        thread.join(20)
        structlog.reset_defaults()
        root.handlers[:] = handlers
        root.setLevel(before)


@pytest.mark.parametrize("name", NO_REQUEST)
def test_what_is_no_request_is_400_as_problem_json_and_tells_nothing(server: Server, name: str) -> None:
    answer = server.ask(NO_REQUEST[name])

    head, _, body = answer.partition(b"\r\n\r\n")
    assert b" 400 " in head.split(b"\r\n")[0] + b" "
    assert b"application/problem+json" in head
    assert b"X-Content-Type-Options: nosniff" in head
    assert b"aiohttp" not in head
    assert json.loads(body)["status"] == 400
    assert SECRET not in answer


@pytest.mark.parametrize("name", BROKEN_BODIES)
def test_a_body_that_is_not_what_its_header_says_is_400(server: Server, name: str) -> None:
    assert server.status(BROKEN_BODIES[name]) == 400
    assert server.status(BROKEN_BODIES[name].replace(b"/admin/login/", b"/api/mailbox/sync/", 1)) in (400, 401)


@pytest.mark.parametrize(
    "target",
    [
        b"http://evil.example/healthz",
        b"HTTP://EVIL.example:80/healthz",
        b"https://evil.example?/healthz",
        b"http://127.0.0.1@evil.example/healthz",
        b"http://evil.example@127.0.0.1/healthz",
        b"gopher://127.0.0.1/healthz",
        b"http:///healthz",
    ],
)
def test_a_target_of_another_host_is_refused_as_another_host_is(server: Server, target: bytes) -> None:
    assert server.status(b"GET " + target + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n") == 400
    assert server.status(b"CONNECT evil.example:443 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n") == 400


def test_a_target_that_names_us_is_served(server: Server) -> None:
    assert server.status(b"GET http://127.0.0.1:8000/healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n") == 200
    assert server.status(b"GET http://127.0.0.1/healthz HTTP/1.1\r\nHost: evil.example\r\n\r\n") == 400


def test_hundreds_of_them_are_one_line_without_a_byte_of_a_header(server: Server) -> None:
    before = len(server.said())
    for _ in range(4):
        for sent in (*NO_REQUEST.values(), *BROKEN_BODIES.values()):
            server.ask(sent)
            server.ask(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", sent)

    lines = server.said()
    assert len(lines) - before <= 1
    assert len([line for line in lines if "malformed requests" in line]) == 1, "the tests before this one count, too"
    assert not [line for line in lines if SECRET.decode() in line or "Traceback" in line]


HEADERS = st.sampled_from(
    "Accept Accept-Encoding Authorization Connection Content-Encoding Content-Length Content-Type Cookie Expect "
    "Host If-Modified-Since If-None-Match If-Range Last-Event-ID Origin Range Referer Sec-Fetch-Mode Sec-Fetch-Site "
    "Transfer-Encoding Upgrade X-CSRFToken X-Forwarded-For X-Forwarded-Proto".split()
)
TARGETS = st.sampled_from(
    "/ /healthz /readyz /metrics /admin /admin/ /admin/login/ /admin/logout/ /admin/messages/1/ /api/messages/ /api/ "
    "/api/events/ /api/attachments/1/ /api/mailbox/sync/ /static/mozzart.css /static/ /nowhere //a *".split()
)
WORDS = st.sampled_from(
    "bytes=0-1 gzip chunked websocket sessionid= csrftoken= text/html; charset=utf-16 http://[ null 127.0.0.1 [::1]:1 "
    '= ; , " \\ %00 %ff é \udcff \x85 -1 99999999999999999999 100-continue navigate Bearer'.split()
)
VALUES = st.lists(WORDS | st.text(st.characters(codec="utf-8", exclude_characters="\r\n\0"), max_size=8), max_size=6)


@settings(max_examples=150)
@given(
    method=st.sampled_from(["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"]),
    target=TARGETS,
    query=VALUES,
    headers=st.lists(st.tuples(HEADERS, VALUES), max_size=5),
    body=st.binary(max_size=40),
)
def test_nothing_without_credentials_makes_a_500(
    any_host: Server, method: str, target: str, query: list[str], headers: list[tuple[str, list[str]]], body: bytes
) -> None:
    if query:
        target += "?q=" + "".join("".join(query).split())
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {''.join(value)}" for name, value in headers)]
    if not any(name == "Host" for name, _ in headers):
        lines.append("Host: 127.0.0.1")

    status = any_host.status("\r\n".join([*lines, "", ""]).encode("utf-8", "surrogateescape") + body)

    assert status < 500 or (status == 503 and target.startswith("/readyz"))
    assert not [line for line in any_host.said() if "Traceback" in line]


@pytest.mark.parametrize("name", [b"Cookie", b"X-CSRFToken", b"Origin", b"Referer", b"Content-Type", b"If-None-Match"])
@pytest.mark.parametrize("target", [b"GET /admin/", b"GET /admin/login/", b"POST /admin/login/", b"GET /api/messages/"])
def test_bytes_that_are_no_text_are_no_fault(any_host: Server, name: bytes, target: bytes) -> None:
    value = b"sessionid=\xff\xfe; csrftoken=\xff" if name == b"Cookie" else b"\xff\xfe"
    assert any_host.status(target + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n" + name + b": " + value + b"\r\n\r\n") < 500
    assert not [line for line in any_host.said() if "Traceback" in line]
