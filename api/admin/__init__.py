"""The pages below /admin/: what people see of mailboxes, messages, events, dead letters, verifications and health."""

from __future__ import annotations

from typing import Final

from api.admin import (
    accounts,
    audit,
    callback,
    dead_letters,
    health,
    live,
    mailboxes,
    messages,
    pictures,
    previews,
    tokens,
    verify,
)
from api.admin.marking import marked
from api.admin.quantity import FILTERS
from api.admin.templates import environment

environment.filters.update(FILTERS, marked=marked)

routes: Final = tuple(
    route
    for module in (
        mailboxes,
        accounts,
        callback,
        messages,
        pictures,
        previews,
        live,
        dead_letters,
        verify,
        health,
        tokens,
        audit,
    )
    for route in module.routes
)
