"""Sessions: what a cookie is worth, and until when."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from api.guard.session import COOKIE, Session, Sessions


class Clock:
    """The time is what the test says."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def sessions(home: Path, clock: Clock, *, secret: bytes = b"secret") -> Sessions:
    return Sessions(secret, home / "sessions.ended", idle=100, lifetime=1000, now=clock)


def cookie(of: Sessions, session: Session) -> str:
    response = web.Response()
    of.put(response, session, secure=True)
    morsel = response.cookies[COOKIE]
    assert (morsel["httponly"], morsel["samesite"], morsel["secure"], morsel["path"]) == (True, "Lax", True, "/")
    return morsel.value


def test_a_cookie_is_the_session_it_was_made_of(tmp_path: Path) -> None:
    clock = Clock()
    ours = sessions(tmp_path, clock)
    session = ours.begin("ada")

    assert ours.read(cookie(ours, session)) == session
    assert session.id != ours.begin("ada").id


def test_it_ends_when_its_user_is_idle_and_goes_on_when_not(tmp_path: Path) -> None:
    clock = Clock()
    ours = sessions(tmp_path, clock)
    session = ours.begin("ada")
    value = cookie(ours, session)

    assert ours.renewed(session) is None, "a cookie a moment old will do"
    clock.now += 99
    renewed = ours.renewed(session)
    assert renewed is not None
    clock.now += 1
    assert ours.read(value) is None
    assert ours.read(cookie(ours, renewed)) == renewed


def test_it_ends_for_good_at_its_age_however_busy_its_user(tmp_path: Path) -> None:
    clock = Clock()
    ours = sessions(tmp_path, clock)
    session = ours.begin("ada")
    for _ in range(19):
        clock.now += 50
        session = ours.renewed(session) or session
        assert ours.read(cookie(ours, session))
    clock.now += 50

    assert ours.read(cookie(ours, session)) is None


def test_signed_out_is_signed_out_for_every_copy_of_the_cookie_and_after_a_restart(tmp_path: Path) -> None:
    clock = Clock()
    ours = sessions(tmp_path, clock)
    ended, other = ours.begin("ada"), ours.begin("ada")
    copy = cookie(ours, ended)

    ours.end(ended)

    again = sessions(tmp_path, clock)
    for each in (ours, again):
        assert each.read(copy) is None
        assert each.read(cookie(ours, other)) == other
    assert stat.S_IMODE((tmp_path / "sessions.ended").stat().st_mode) == 0o600


def test_what_ended_long_ago_is_forgotten(tmp_path: Path) -> None:
    clock = Clock()
    ours = sessions(tmp_path, clock)
    ours.end(ours.begin("ada"))
    clock.now += 2000
    last = ours.begin("ada")

    ours.end(last)

    assert [line.split()[0] for line in (tmp_path / "sessions.ended").read_text().splitlines()] == [last.id]


def test_another_secret_ends_every_session(tmp_path: Path) -> None:
    clock = Clock()
    ours = sessions(tmp_path, clock)

    assert sessions(tmp_path, clock, secret=b"changed").read(cookie(ours, ours.begin("ada"))) is None


def test_a_list_of_the_ended_that_is_damaged_stops_nobody(tmp_path: Path) -> None:
    (tmp_path / "sessions.ended").write_bytes(b"\xff\n\na b c\nid nan\nid 12\n")
    clock = Clock()

    ours = sessions(tmp_path, clock)
    assert ours.read(cookie(ours, ours.begin("ada")))


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> tuple[Sessions, str]:
    ours = sessions(tmp_path_factory.mktemp("data"), Clock())
    return ours, cookie(ours, ours.begin("ada"))


@given(data=st.data())
def test_a_cookie_that_was_touched_is_none(shared: tuple[Sessions, str], data: st.DataObject) -> None:
    ours, value = shared
    # The last character of base64 may carry bits that do not count.
    at = data.draw(st.integers(0, len(value) - 2))
    touched = value[:at] + data.draw(st.characters().filter(lambda one: one != value[at])) + value[at + 1 :]

    assert ours.read(touched) is None
    assert ours.read(value[:at]) is None
    assert ours.read(data.draw(st.text())) is None
