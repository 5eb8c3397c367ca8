"""docs/webhooks.md says what the code does."""

from __future__ import annotations

import re
from pathlib import Path

from mailcore import undelivered
from mailcore.events.undelivered import ATTEMPTS, ERROR, PREFIX, REDELIVER, STREAM
from mailcore.setting_value import WEBHOOK_EVENTS
from mailcore.settings import Settings
from webhooks import delivering, disposition, sending
from webhooks.main import DURABLE

TEXT = (Path(__file__).resolve().parents[3] / "docs" / "webhooks.md").read_text()


def test_every_event_that_can_be_chosen_is_documented_and_the_default_ones_are_marked() -> None:
    rows = dict(re.findall(r"^\| `([\w-]+)` \| .* \|(.*)\|$", TEXT, re.MULTILINE))
    assert rows.keys() == set(WEBHOOK_EVENTS)
    sent = {name for name, note in rows.items() if "sent unless" in note}
    assert sent == set(Settings(_env_file=None).webhook_events)


def test_pauses_limits_and_names_are_the_real_ones() -> None:
    def words(seconds: float) -> str:
        return f"{seconds:g} s" if seconds < 60 else f"{seconds / 60:g} min"

    *first, last = map(words, disposition.DELAYS)
    assert f"again after {', '.join(first)}, then every {last}" in TEXT
    hours = disposition.LONGEST.total_seconds() / 3600
    assert f"after {hours:g} hours and {disposition.LEAST_ATTEMPTS} attempts" in TEXT
    assert f"status within {sending.TIMEOUT:g} seconds" in TEXT
    assert delivering.AT_ONCE == 8
    assert "up to eight are on their way" in TEXT
    assert f"the durable `{DURABLE}` on `MAIL_EVENTS`" in TEXT
    assert f"`{PREFIX}.<account>.<mailbox>.<type>`" in TEXT
    assert f"for {undelivered.CONFIG['max_age'] / 86_400e9:g} days in the stream `{STREAM}`" in TEXT
    assert f"`{ERROR}` and `{ATTEMPTS}`" in TEXT
    assert f"`{REDELIVER}`" in TEXT
