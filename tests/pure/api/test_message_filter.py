"""The form above the list of messages, as a filter, as an address, and in the api's words."""

from __future__ import annotations

from datetime import UTC, datetime
from urllib.parse import parse_qsl, urlsplit
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from api.admin.message_filter import FIELDS, Form
from api.routes.messages import MessagesQuery
from mailcore.store import MessageFilter
from mailcore.store.query import understand

LIST = "/admin/messages/"
VALUES = st.one_of(
    st.sampled_from(["", "yes", "no", "maybe", "2026-11-22", "2026-W47-7", "20261122", "9999-12-31", "0001-01-01"]),
    st.text(st.characters(codec="utf-8"), max_size=20),
)


def of(address: str) -> Form:
    return Form.of(dict(parse_qsl(urlsplit(address).query, keep_blank_values=True)))


def test_fields_are_what_they_say() -> None:
    form = Form.of({"q": " a b ", "since": "2026-11-20", "until": "2026-11-22", "seen": "no", "attachments": "yes"})
    assert form.wanted == MessageFilter(
        query="a b",
        since=datetime(2026, 11, 20, tzinfo=UTC),
        until=datetime(2026, 11, 23, tzinfo=UTC),
        seen=False,
        has_attachments=True,
    )


def test_days_are_those_of_the_zone() -> None:
    form = Form.of({"q": "after:2026-07", "since": "2026-11-20", "until": "2026-11-22"}, ZoneInfo("Europe/Berlin"))
    assert form.wanted.since == datetime(2026, 11, 19, 23, tzinfo=UTC)
    assert form.wanted.until == datetime(2026, 11, 22, 23, tzinfo=UTC)
    assert understand(MessageFilter(query="after:2026-07", zone=form.zone)).filter.since == datetime(
        2026, 6, 30, 22, tzinfo=UTC
    )
    assert Form.of({"since": "0001-01-01"}, ZoneInfo("Europe/Berlin")).wanted.since
    assert dict(parse_qsl(urlsplit(form.api("/api/messages/")).query))["zone"] == "Europe/Berlin"


@pytest.mark.parametrize(
    ("field", "value"), [("seen", "maybe"), ("attachments", "true"), ("since", "tomorrow"), ("until", "9999-12-31")]
)
def test_a_field_with_which_nothing_can_be_done_does_not_stay(field: str, value: str) -> None:
    form = Form.of({field: value, "q": "word"})
    assert form.path(LIST, cursor="x") == f"{LIST}?q=word&cursor=x"
    assert form.wanted == MessageFilter(query="word")
    assert bool(form.fault) is (field in ("since", "until")), "a date is typed, a choice is not"


def test_what_the_closed_part_of_the_form_holds_is_told_and_can_be_taken_away() -> None:
    form = Form.of({"q": "word", "mailbox": "INBOX", "from": "anna", "until": "20261122", "flagged": "no"})
    told = dict(form.out_of_sight(LIST))
    assert list(told) == ["from anna", "until 2026-11-22", "not flagged"]
    assert of(told["from anna"]).on == {name: value for name, value in form.on.items() if name != "from"}
    assert Form.of({"seen": "yes"}).out_of_sight(LIST) == [("read", LIST)]


@given(st.dictionaries(st.sampled_from(FIELDS), VALUES))
@example({"until": "9999-12-30"})
def test_an_address_and_the_api_mean_the_same_messages(query: dict[str, str]) -> None:
    form = Form.of(query)
    assert of(form.path(LIST)).wanted == form.wanted
    told = {words for words, _ in form.out_of_sight(LIST)}
    assert len(told) == len(form.on.keys() - {"q", "account", "mailbox"}), "each that is on is seen"

    asked = MessagesQuery.model_validate(dict(parse_qsl(urlsplit(form.api("/", order="asc")).query)))
    wanted = form.wanted
    assert (asked.account, asked.mailbox, asked.sender, asked.q) == (
        wanted.account,
        wanted.mailbox,
        wanted.sender,
        wanted.query,
    )
    for name in ("has_attachments", "expunged", "seen", "flagged", "answered"):
        assert getattr(asked, name) == getattr(wanted, name)
    for name in ("since", "until"):
        limit = getattr(wanted, name)
        assert getattr(asked, name) == (limit and limit.date())
