"""The pages below /admin/: what people see of mailboxes, messages, events, dead letters and health."""

from __future__ import annotations

from typing import Final

from api.admin import dead_letters, health, live, mailboxes, messages
from api.admin.words import FILTERS
from api.pages import environment

environment.filters.update(FILTERS)

routes: Final = tuple(route for module in (mailboxes, messages, live, dead_letters, health) for route in module.routes)
