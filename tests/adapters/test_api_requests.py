"""The api over real HTTP, a real nats-server and a real database; the syncer is a script that answers as told."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import ClientSession, web
from prometheus_client.parser import text_string_to_metric_families
from pydantic import BaseModel

from api.dependencies import Dependencies
from api.main import application
from mailcore import metrics
from mailcore.bus import Bus
from mailcore.errors import BusError
from mailcore.events import control
from mailcore.events.control import MailboxLive, MailboxResult, MailboxStates, Refusal, SyncResult, SyncRun, SyncStart
from mailcore.events.identity import MailboxKey
from mailcore.settings import NOT_CONFIGURED, Settings
from tests.support.nats import NatsServer

TOKEN = "test-token-ä"
RUN = SyncRun(
    run_id="r1",
    status="running",
    started_at=datetime(2026, 1, 1, tzinfo=UTC),
    results=(MailboxResult(account="default", mailbox="INBOX"),),
)
ENDED = RUN.model_copy(
    update={
        "status": "ok",
        "found": 2,
        "published": 2,
        "stored": 2,
        "expunged": 1,
        "duration_ms": 5,
        "results": (MailboxResult(account="default", mailbox="INBOX", status="ok", found=2, published=2, stored=2),),
    }
)
SYNC = "/api/mailbox/sync/"


class Api:
    """The api under test and a client that sends the token unless told otherwise."""

    def __init__(self, dependencies: Dependencies, port: int, session: ClientSession) -> None:
        self.dependencies = dependencies
        self.port = port
        self._session = session

    async def ask(
        self,
        method: str,
        path: str,
        *,
        token: str | None = f"Bearer {TOKEN}",
        host: str | None = None,
        data: bytes | None = None,
    ) -> tuple[int, Any, dict[str, str]]:
        headers = {"Host": host or f"127.0.0.1:{self.port}"}
        if token is not None:
            headers["Authorization"] = token
        async with self._session.request(
            method, f"http://127.0.0.1:{self.port}{path}", headers=headers, data=data
        ) as got:
            text = await got.text()
            body = json.loads(text) if "json" in got.content_type else text
            return got.status, body, dict(got.headers)

    async def problem(self, method: str, path: str, **how: Any) -> tuple[int, str]:
        """Status and detail of an answer that must be problem JSON."""
        status, body, headers = await self.ask(method, path, **how)
        assert headers["Content-Type"].startswith("application/problem+json"), body
        assert body["status"] == status
        assert set(body) >= {"type", "title", "detail"}
        return status, body["detail"]


class Syncer:
    """Answers the control subjects with what the test put in; keeps what it was asked."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self.started: list[SyncStart] = []
        self.waited: list[SyncResult] = []

    async def answer(self, *, start: BaseModel | None = None, result: BaseModel | None = None) -> None:
        async def on_start(payload: bytes) -> bytes:
            self.started.append(SyncStart.model_validate_json(payload))
            assert start is not None
            return start.model_dump_json().encode()

        async def on_result(payload: bytes) -> bytes:
            self.waited.append(SyncResult.model_validate_json(payload))
            assert result is not None
            return result.model_dump_json().encode()

        await self._bus.respond(control.START, on_start)
        await self._bus.respond(control.RESULT, on_result)


def settings(nats: NatsServer, home: Path, **more: Any) -> Settings:
    return Settings(
        _env_file=None, nats_url=nats.url, database_url=f"sqlite+aiosqlite:///{home / 'test.db'}", data_dir=home, **more
    )


async def connected(api: Api, *, wanted: bool = True) -> None:
    """Until all dependencies answer (or, not `wanted`, until one does not)."""
    async with asyncio.timeout(10):
        for pause in itertools.repeat(0.01):
            if (not await api.dependencies.faults()) is wanted:
                return
            await asyncio.sleep(pause)


@pytest_asyncio.fixture
async def serve(nats_server: NatsServer, tmp_path: Path) -> AsyncIterator[Callable[..., Any]]:
    """`await serve(NAME=value)`: an api with these settings, connected."""
    closing: list[Callable[[], Any]] = []

    async def start(*, wait: bool = True, **more: Any) -> Api:
        dependencies = await Dependencies.open(settings(nats_server, tmp_path, **more))
        await dependencies.store.upgrade()
        runner = web.AppRunner(application(dependencies, TOKEN), shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        session = ClientSession()
        closing.extend((dependencies.close, runner.cleanup, session.close))
        api = Api(dependencies, runner.addresses[0][1], session)
        if wait:
            await connected(api)
        return api

    yield start
    for close in reversed(closing):
        await close()


@pytest_asyncio.fixture
async def syncer(nats_server: NatsServer) -> AsyncIterator[Syncer]:
    bus = await Bus.connect(nats_server.url, name="syncer")
    yield Syncer(bus)
    await bus.close()


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "token",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Bearer wrong",
        f"Basic {TOKEN}",
        TOKEN,
        f"Bearer {TOKEN}x",
        f"Bearer {TOKEN[:-1]}",
    ],
)
@pytest.mark.parametrize("path", [SYNC, "/api/mailbox/states/", "/metrics", "/nowhere"])
async def test_without_the_right_token_everything_but_health_is_401(
    serve: Callable[..., Any], path: str, token: str | None
) -> None:
    api = await serve()

    assert (await api.problem("POST" if path == SYNC else "GET", path, token=token))[0] == 401
    _, _, headers = await api.ask("GET", path, token=token)
    assert headers["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.asyncio
async def test_health_and_readiness_need_no_token(serve: Callable[..., Any]) -> None:
    api = await serve()

    assert (await api.ask("GET", "/healthz", token=None))[:2] == (200, {"status": "alive"})
    assert (await api.ask("GET", "/readyz", token=None))[:2] == (
        200,
        {"status": "ready", "checks": dict.fromkeys(("nats", "database", "syncer", "consumer"), "ok")},
    )


@pytest.mark.asyncio
async def test_readiness_tells_which_dependency_is_missing_and_recovers(
    serve: Callable[..., Any], nats_server: NatsServer
) -> None:
    api = await serve()
    nats_server.kill()
    await connected(api, wanted=False)

    status, body, _ = await api.ask("GET", "/readyz", token=None)
    assert (status, body["checks"]["nats"], body["checks"]["database"]) == (503, "failed", "ok")
    assert (await api.ask("GET", "/healthz", token=None))[0] == 200

    nats_server.restart()
    await connected(api)
    assert (await api.ask("GET", "/readyz", token=None))[0] == 200


@pytest.mark.asyncio
@pytest.mark.parametrize("path", [SYNC, "/healthz", "/readyz", "/nowhere"])
async def test_another_host_is_400_before_anything_else(serve: Callable[..., Any], path: str) -> None:
    api = await serve()

    status, detail = await api.problem("GET", path, host="evil.example", token=None)
    assert status == 400
    assert "ALLOWED_HOSTS" in detail


@pytest.mark.asyncio
async def test_a_wrong_path_or_method_is_problem_json_too(serve: Callable[..., Any]) -> None:
    api = await serve()

    assert (await api.problem("GET", "/nowhere"))[0] == 404
    status, detail = await api.problem("GET", SYNC)
    assert (status, "POST" in detail) == (405, True)
    assert (await api.ask("GET", SYNC))[2]["Allow"] == "POST"


@pytest.mark.asyncio
async def test_a_sync_that_runs_is_202(serve: Callable[..., Any], syncer: Syncer) -> None:
    api = await serve()
    await syncer.answer(start=RUN)

    status, body, headers = await api.ask("POST", SYNC)
    assert status == 202
    assert body == {
        "run_id": "r1",
        "status": "running",
        "mailboxes": [{"account": "default", "mailbox": "INBOX"}],
    }
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert syncer.started == [SyncStart()]
    assert syncer.waited == []


@pytest.mark.asyncio
async def test_a_sync_that_ends_within_the_wait_is_200_with_its_totals(
    serve: Callable[..., Any], syncer: Syncer
) -> None:
    api = await serve()
    await syncer.answer(start=RUN, result=ENDED)

    status, body, _ = await api.ask("POST", f"{SYNC}?wait=30", data=b'{"account": "default", "mailbox": "INBOX"}')
    assert status == 200
    assert {name: body[name] for name in ("run_id", "status", "found", "published", "stored", "expunged")} == {
        "run_id": "r1",
        "status": "ok",
        "found": 2,
        "published": 2,
        "stored": 2,
        "expunged": 1,
    }
    assert body["results"][0]["status"] == "ok"
    assert syncer.started == [SyncStart(account="default", mailbox="INBOX")]
    assert syncer.waited == [SyncResult(run_id="r1", wait=30)]


@pytest.mark.asyncio
async def test_a_sync_that_outlasts_the_wait_is_202(serve: Callable[..., Any], syncer: Syncer) -> None:
    api = await serve()
    await syncer.answer(start=RUN, result=RUN)

    assert (await api.ask("POST", f"{SYNC}?wait=0.1"))[0] == 202


@pytest.mark.asyncio
async def test_a_partly_failed_sync_is_200_and_says_what_failed(serve: Callable[..., Any], syncer: Syncer) -> None:
    failed = MailboxResult(account="b", mailbox="INBOX", status="failed", error="wrong password")
    partial = ENDED.model_copy(update={"status": "partial", "results": (*ENDED.results, failed)})
    api = await serve()
    await syncer.answer(start=RUN, result=partial)

    status, body, _ = await api.ask("POST", f"{SYNC}?wait=1")
    assert (status, body["status"]) == (200, "partial")
    assert body["results"][1]["error"] == "wrong password"


@pytest.mark.asyncio
async def test_a_sync_of_nothing_is_502_with_every_reason(serve: Callable[..., Any], syncer: Syncer) -> None:
    failed = MailboxResult(account="b", mailbox="INBOX", status="failed", error="wrong password")
    api = await serve()
    await syncer.answer(start=RUN, result=RUN.model_copy(update={"status": "failed", "results": (failed,)}))

    status, body, _ = await api.ask("POST", f"{SYNC}?wait=1")
    assert status == 502
    assert "b/INBOX: wrong password" in body["detail"]
    assert body["run_id"] == "r1"
    assert body["status"] == 502, "the member `status` of problem JSON is the HTTP status"


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("code", "status"), [("unknown-mailbox", 404), ("not-configured", 503), ("bad-request", 400), ("unknown-run", 404)]
)
async def test_what_the_syncer_refuses_is_told_in_its_words(
    serve: Callable[..., Any], syncer: Syncer, code: Any, status: int
) -> None:
    api = await serve()
    await syncer.answer(start=Refusal(code=code, message="in its words"))

    assert await api.problem("POST", SYNC) == (status, "in its words")


@pytest.mark.asyncio
async def test_without_imap_settings_and_syncer_it_is_503_with_the_sentence(serve: Callable[..., Any]) -> None:
    api = await serve()

    assert await api.problem("POST", SYNC) == (503, NOT_CONFIGURED)


@pytest.mark.asyncio
async def test_without_a_syncer_it_is_503_at_once(serve: Callable[..., Any]) -> None:
    api = await serve(imap_host="h", imap_user="u", imap_password="p")

    async with asyncio.timeout(2):
        status, detail = await api.problem("POST", SYNC)
    assert status == 503
    assert "syncer" in detail


@pytest.mark.asyncio
@pytest.mark.parametrize("wait", ["-1", "301", "nan", "inf", "x", ""])
async def test_a_wait_that_is_no_number_of_seconds_is_400(serve: Callable[..., Any], syncer: Syncer, wait: str) -> None:
    api = await serve()
    await syncer.answer(start=RUN)

    assert (await api.problem("POST", f"{SYNC}?wait={wait}"))[0] == 400
    assert syncer.started == [], "a request that is wrong starts nothing"


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "body", [b"{", b"[]", b"1", b'{"account": 1}', b'{"colour": "red"}', b"\xff", b"[" * 60_000, b'"x"', b"null"]
)
async def test_a_body_that_is_not_understood_is_400(serve: Callable[..., Any], syncer: Syncer, body: bytes) -> None:
    api = await serve()
    await syncer.answer(start=RUN)

    assert (await api.problem("POST", SYNC, data=body))[0] == 400
    assert syncer.started == []


@pytest.mark.asyncio
async def test_a_body_that_is_too_large_is_413(serve: Callable[..., Any]) -> None:
    api = await serve()

    assert (await api.problem("POST", SYNC, data=b" " * 70_000))[0] == 413


@pytest.mark.asyncio
async def test_states_join_the_rows_with_what_the_syncer_sees_now(
    serve: Callable[..., Any], nats_server: NatsServer
) -> None:
    api = await serve()
    await api.dependencies.store.save_mailbox(MailboxKey("default", "INBOX"), uidvalidity=7, message_count=3)
    live = [
        MailboxLive(
            account="default", mailbox=name, connection="idling", since=RUN.started_at, in_flight=1, in_flight_bytes=9
        )
        for name in ("INBOX", "Neu")
    ]

    async def states(_: bytes) -> bytes:
        return MailboxStates(mailboxes=tuple(live)).model_dump_json().encode()

    bus = await Bus.connect(nats_server.url, name="syncer")
    try:
        await bus.respond(control.STATES, states)
        status, body, _ = await api.ask("GET", "/api/mailbox/states/")
    finally:
        await bus.close()

    assert status == 200
    known, only_live = body["mailboxes"]
    assert (known["mailbox"], known["uidvalidity"], known["message_count"]) == ("INBOX", 7, 3)
    assert known["live"]["connection"] == "idling"
    assert only_live == {"account": "default", "mailbox": "Neu", "live": known["live"]}


@pytest.mark.asyncio
async def test_states_without_a_syncer_are_the_rows_alone(serve: Callable[..., Any]) -> None:
    api = await serve()
    await api.dependencies.store.save_mailbox(MailboxKey("default", "INBOX"), uidvalidity=7)

    _, body, _ = await api.ask("GET", "/api/mailbox/states/")
    assert [one["live"] for one in body["mailboxes"]] == [None]


@pytest.mark.asyncio
async def test_metrics_are_those_of_every_process(serve: Callable[..., Any], nats_server: NatsServer) -> None:
    api = await serve()
    bus = await Bus.connect(nats_server.url, name="consumer")
    try:
        await bus.ensure(max_bytes=256 << 20)
        await metrics.answer(bus, "consumer")
        status, text, headers = await api.ask("GET", "/metrics")
    finally:
        await bus.close()

    assert status == 200
    assert headers["Content-Type"].startswith("text/plain; version=0.0.4")
    assert 'process="api"' in text
    assert 'process="consumer"' in text
    found = {
        (sample.name, sample.labels.get("stream") or sample.labels.get("durable")): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.labels["process"] == "nats"
    }
    assert found["mozzart_stream_messages", "MAIL_DEAD"] == 0
    assert found["mozzart_stream_max_bytes", "MAIL"] == 256 << 20
    assert {durable for name, durable in found if name == "mozzart_durable_waiting"} == {
        "store",
        "backfill",
        "expunge",
        "flags",
    }


@pytest.mark.asyncio
async def test_a_fault_of_ours_is_500_without_a_word_of_its_inside(
    serve: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    api = await serve()

    async def break_down() -> None:
        raise RuntimeError("the inside")

    monkeypatch.setattr(api.dependencies.store, "mailbox_states", break_down)
    status, detail = await api.problem("GET", "/api/mailbox/states/")
    assert status == 500
    assert "inside" not in detail


@pytest.mark.asyncio
async def test_the_bus_raises_until_nats_was_reached_and_the_api_serves_meanwhile(
    serve: Callable[..., Any], nats_server: NatsServer
) -> None:
    nats_server.kill()
    api = await serve(wait=False)

    with pytest.raises(BusError):
        _ = api.dependencies.bus
    assert (await api.ask("GET", "/readyz", token=None))[0] == 503
    assert (await api.ask("GET", "/metrics"))[0] == 200
    assert (await api.problem("POST", SYNC))[0] == 503

    nats_server.restart()
    await connected(api)
