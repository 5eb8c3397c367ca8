"""How many file descriptors are needed, and how often it is told that there is none."""

from __future__ import annotations

import asyncio
import errno
import itertools
import resource
import socket
from collections.abc import Iterator

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from api.http.connections import MOST, most
from cli.doctor import local
from cli.doctor.finding import Finding
from mailcore import descriptors
from mailcore.account import Account
from mailcore.descriptors import BESIDES, Starved, needed
from mailcore.settings import Settings


def account(host: str, mailboxes: tuple[str, ...], connections: int) -> Account:
    return Account(name="a", host=host, user="u", password=SecretStr("p"), mailboxes=mailboxes, connections=connections)


ACCOUNTS = st.lists(
    st.builds(
        account,
        st.sampled_from(("x.example", "y.example")),
        st.sampled_from((("INBOX",), ("INBOX", "Sent"), ("*",))),
        st.integers(3, 50),
    ),
    max_size=20,
)


@given(ACCOUNTS, st.integers(3, 300))
def test_each_account_counts_by_its_connections_and_each_host_by_its_own(
    accounts: list[Account], host_connections: int
) -> None:
    found = needed(accounts, host_connections)
    hosts = {one.host for one in accounts}
    assert BESIDES <= found <= BESIDES + host_connections * len(hosts)
    assert found <= BESIDES + sum(one.connections for one in accounts)
    assert needed([*accounts, account("z.example", ("*",), 7)], 300) == needed(accounts, 300) + 7


def test_a_few_named_mailboxes_need_few_connections() -> None:
    assert needed([account("x", ("INBOX",), 50)], 200) == BESIDES + 4
    assert needed([account("x", ("*",), 50)] * 10, 200) == BESIDES + 200


def test_where_the_provider_counts_by_account_all_of_them_are_needed() -> None:
    assert needed([account("imap.gmail.com", ("INBOX",), 10)] * 300, 200) == BESIDES + 300 * 4


@given(st.integers(0, 1 << 20))
def test_some_descriptors_are_left_for_files_and_the_database(limit: int) -> None:
    assert most(limit) <= min(MOST, limit)
    assert most(limit) == MOST or most(limit + 1) >= most(limit)
    assert limit < 128 or limit - most(limit) >= 64


@given(st.lists(st.floats(0, 100), max_size=50))
def test_it_is_told_once_a_minute_at_most_and_each_is_counted(pauses: list[float]) -> None:
    starved, now, told, count = Starved(), 0.0, [], 0
    for pause in pauses:
        now += pause
        if found := starved.note(now):
            told.append(now)
            count += found
    assert all(later - earlier >= 60 for earlier, later in itertools.pairwise(told))
    assert count + starved._count == len(pauses)
    assert not pauses or told[0] == pauses[0]


def test_other_errors_of_the_loop_are_told_as_ever() -> None:
    loop, told = asyncio.new_event_loop(), []
    loop.default_exception_handler = told.append  # type: ignore[method-assign]
    starved = Starved()
    with structlog.testing.capture_logs() as logs, socket.socket() as listening:
        out = OSError(errno.EMFILE, "Too many open files")
        starved(loop, {"message": "accept", "exception": out, "socket": listening})
        starved(loop, {"message": "accept", "exception": out, "socket": listening})
        for other in (
            {"message": "x"},
            {"message": "x", "exception": ValueError()},
            {"message": "x", "exception": out},
        ):
            starved(loop, other)
    loop.close()
    assert len(told) == 3
    assert [(one["log_level"], one["times"]) for one in logs] == [("error", 1)]
    assert "exception" not in logs[0]


@pytest.fixture
def limits() -> Iterator[tuple[int, int]]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield before
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_the_soft_limit_is_raised_to_the_hard_one(limits: tuple[int, int]) -> None:
    hard = limits[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    descriptors.raise_limit()
    assert descriptors.limit() == min(descriptors.hard_limit(), 1 << 20)


@pytest.mark.parametrize(("allowed", "failed"), [(BESIDES + 3, True), (BESIDES + 4, False)])
def test_doctor_says_when_the_hard_limit_is_too_low_for_the_accounts(
    allowed: int, failed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(descriptors, "hard_limit", lambda: allowed)
    settings = Settings(_env_file=None, imap_host="localhost", imap_user="u", imap_password=SecretStr("p"))

    async def look() -> list[Finding]:
        return [one async for one in local.settings(settings) if "descriptors" in one.text]

    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        found = runner.run(look())
    assert [one.verdict for one in found] == ["failed"] * failed
