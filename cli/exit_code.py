"""Exit codes of `mozzart`; where sysexits.h has a name for it, its number. A test holds docs/configuration.md to it."""

from __future__ import annotations

from typing import Final

OK: Final = 0
FAILED: Final = 1
USAGE: Final = 2
PARTIAL: Final = 3
UNAVAILABLE: Final = 69  # EX_UNAVAILABLE
SOFTWARE: Final = 70  # EX_SOFTWARE
RUNNING: Final = 75  # EX_TEMPFAIL
CONFIG: Final = 78  # EX_CONFIG
INTERRUPTED: Final = 130  # 128 + SIGINT, as shells say it

MEANING: Final = {
    OK: "done; for `up` and `demo`: stopped because somebody asked",
    FAILED: "it ran and failed; stderr says what and where",
    USAGE: "the command line was not understood",
    PARTIAL: "`sync`: some mailboxes were synced, some failed or are refused some of their messages; "
    "`backup`: made, but without files that are missing or changed",
    UNAVAILABLE: "NATS, the syncer or the database did not answer",
    SOFTWARE: "a fault of this program; the traceback is worth an issue",
    RUNNING: "another `mozzart up` holds this data directory, or, for `restore`, something of ours runs",
    CONFIG: "a setting is missing or wrong",
    INTERRUPTED: "Ctrl-C ended the command before it was done",
}

# What a command ends with besides those that every command may: USAGE, SOFTWARE, CONFIG, INTERRUPTED.
OF: Final[dict[str, tuple[int, ...]]] = {
    "up": (OK, RUNNING),
    "demo": (OK, RUNNING),
    "syncer": (OK,),
    "consumer": (OK, UNAVAILABLE),
    "webhook": (OK, UNAVAILABLE),
    "verifier": (OK,),
    "api": (OK,),
    "sync": (OK, FAILED, PARTIAL, UNAVAILABLE),
    "status": (OK, UNAVAILABLE),
    "doctor": (OK, FAILED),
    "tail": (OK, UNAVAILABLE),
    "verify": (OK, FAILED, UNAVAILABLE),
    "messages search": (OK, FAILED, UNAVAILABLE),
    "messages show": (OK, FAILED, UNAVAILABLE),
    "messages raw": (OK, FAILED, UNAVAILABLE),
    "messages save": (OK, FAILED, UNAVAILABLE),
    "dead-letters list": (OK, UNAVAILABLE),
    "dead-letters show": (OK, FAILED, UNAVAILABLE),
    "dead-letters redrive": (OK, FAILED, UNAVAILABLE),
    "dead-letters discard": (OK, FAILED, UNAVAILABLE),
    "db upgrade": (OK, UNAVAILABLE),
    "db current": (OK, UNAVAILABLE),
    "db check": (OK, FAILED, UNAVAILABLE),
    "accounts list": (OK, UNAVAILABLE),
    "accounts add": (OK, FAILED, UNAVAILABLE),
    "accounts test": (OK, FAILED, UNAVAILABLE),
    "accounts pause": (OK, FAILED, UNAVAILABLE),
    "accounts resume": (OK, FAILED, UNAVAILABLE),
    "accounts remove": (OK, FAILED, UNAVAILABLE),
    "accounts rotate-key": (OK, FAILED, UNAVAILABLE),
    "backup": (OK, FAILED, PARTIAL, UNAVAILABLE),
    "restore": (OK, FAILED, RUNNING),
    "prune": (OK, FAILED, UNAVAILABLE),
    "import-django": (OK, FAILED, UNAVAILABLE, RUNNING),
    "hash-password": (OK,),
    "accounts authorize": (OK, FAILED, UNAVAILABLE),
    "audit": (OK, UNAVAILABLE),
    "tokens list": (OK, UNAVAILABLE),
    "tokens add": (OK, UNAVAILABLE),
    "tokens revoke": (OK, FAILED, UNAVAILABLE),
    "completion": (OK,),
}
