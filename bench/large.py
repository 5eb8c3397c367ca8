"""One message that is too large for any process's memory."""

from __future__ import annotations

import contextlib
import time

from bench.measure import Usage, usage
from bench.rows import open_rows
from tests.support.dovecot import Dovecot, append
from tests.support.mail import make_mail
from tests.support.processes import Mozzart
from tests.support.programs import wait_until


def measure(dovecot: Dovecot, mozzart: Mozzart, megabytes: int) -> tuple[float, dict[str, Usage]]:
    """(seconds from APPEND's answer to the row and its file, what each process used) of a message with one attachment
    of so many MB on the wire. Leaves `mozzart` running."""
    mozzart.start().wait_ready().wait_live("idling")
    raw = make_mail(1, seed=11, files=(int(megabytes * 1_000_000 / 1.37),)).raw
    with contextlib.closing(open_rows(mozzart)) as rows, dovecot.connect() as connection:
        uid = append(connection, raw)
        began = time.monotonic()
        wait_until(lambda: rows.has(uid), lambda: f"it is a row\n{mozzart.log_text()[-2000:]}", within=300, every=0.02)
        seconds = time.monotonic() - began
    return seconds, {role: usage(process) for role, process in mozzart.processes().items()}
