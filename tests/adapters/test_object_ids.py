"""EMAILID and THREADID (RFC 8474) as a real server has them."""

from __future__ import annotations

import pytest
from pydantic import SecretStr

from mailcore.imap.sequence import UidSet
from syncer.imap.connection import Endpoint, ImapConnection
from tests.support.cyrus import Cyrus
from tests.support.mail import make_mail


@pytest.mark.asyncio
async def test_a_copy_in_another_mailbox_is_called_as_the_message_is(cyrus: Cyrus) -> None:
    cyrus.create("Archive")
    uid = cyrus.append(make_mail(1).raw)
    other = cyrus.append(make_mail(2).raw)
    copied = cyrus.copy(uid, "INBOX", "Archive")
    connection = await ImapConnection.open(
        Endpoint("127.0.0.1", cyrus.port, cyrus.user, SecretStr(cyrus.password), use_ssl=False)
    )
    assert "OBJECTID" in connection.capabilities
    await connection.select("INBOX")
    first, second = await connection.uid_fetch_facts(UidSet((uid, other)))
    await connection.select("Archive")
    (copy,) = await connection.uid_fetch_facts(UidSet((copied,)))
    assert first.email_id
    assert (copy.email_id, copy.thread_id) == (first.email_id, first.thread_id)
    assert second.email_id not in (None, first.email_id)
    await connection.logout()
