"""Asking Mozzart to compare a mailbox with its server now."""

import json
import urllib.error
import urllib.request
from http import HTTPStatus

from django.conf import settings

WAIT = 30  # seconds that the page waits for the run to end


class SyncFailed(Exception):
    """Why nothing was synced, in words for whoever pressed the button."""


def sync_now(account=None, mailbox=None):
    """The finished (or still running) sync run; without arguments of all mailboxes. Raises SyncFailed."""
    wanted = {"account": account, "mailbox": mailbox} if mailbox is not None else {}
    request = urllib.request.Request(  # noqa: S310  # the address is a setting
        f"{settings.MOZZART_API}/api/mailbox/sync/?wait={WAIT}",
        data=json.dumps(wanted).encode(),
        headers={"Authorization": f"Bearer {settings.MOZZART_TOKEN}", "Content-Type": "application/json"},
        method="POST",
    )
    try:
        with urllib.request.urlopen(request, timeout=WAIT + 10) as response:  # noqa: S310  # as above
            return json.load(response)
    except urllib.error.HTTPError as error:
        with error:
            raise SyncFailed(_words(error)) from None
    except (OSError, ValueError) as error:
        raise SyncFailed(f"Mozzart's api at {settings.MOZZART_API} does not answer: {error}") from None


def _words(error):
    """The `detail` of the problem JSON (RFC 9457)."""
    try:
        return str(json.load(error)["detail"])
    except (ValueError, KeyError, TypeError):
        return HTTPStatus(error.code).phrase
