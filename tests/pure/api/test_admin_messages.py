"""The form above the list of messages."""

from __future__ import annotations

import re

import pytest

import api.main  # noqa: F401  # registers the filters of templates
from api.admin.message_filter import FIELDS
from api.admin.templates import environment
from mailcore.store import MailboxState
from mailcore.store.hits import Hits

ONE = [MailboxState(1, "work", "INBOX")]
TWO = [*ONE, MailboxState(2, "home", "Sent")]


@pytest.mark.parametrize(
    ("mailboxes", "account", "shown"),
    [(ONE, "", []), (TWO, "", [""]), (TWO, "home", ["home"]), (ONE, "work", ["work"]), (TWO, "gone", ["gone"])],
)
def test_an_account_that_is_filtered_by_is_seen(mailboxes: list[MailboxState], account: str, shown: list[str]) -> None:
    page = environment.get_template("admin/messages.html").render(
        found=[],
        hits=Hits(()),
        given=dict.fromkeys(FIELDS, "") | {"account": account},
        mailboxes=mailboxes,
        filtered=bool(account),
        out_of_sight=[],
        **dict.fromkeys(("fault", "chosen", "total", "first", "newer", "older", "here", "news"), ""),
        **dict.fromkeys(("csrf_token", "csrf_input", "user"), ""),
        navigation=[],
        path="/admin/messages/",
    )
    assert 'type="hidden" name="account"' not in page
    fields = re.findall(r'<select name="account">(.*?)</select>', page, re.DOTALL)
    chosen = [*re.findall(r'value="([^"]*)" selected', fields[0]), ""][:1] if fields else []
    assert chosen == shown
