"""Logs made for `docker logs -f`: one line per fact, to standard error, with every known secret struck out.

`log = structlog.get_logger(__name__)`; event names are short words (`stored`, `swept`), facts are keywords. What the
standard library's `logging` carries (aiohttp, nats, alembic, asyncio) comes out in the same shape.
"""

from __future__ import annotations

import base64
import json
import logging
import re
import sys
from collections.abc import Mapping
from typing import Any, Final, TextIO
from urllib.parse import quote

from mailcore import api_token
from mailcore.imports import without
from mailcore.settings import Account, Settings
from mailcore.visible import one_line

with without("rich"):  # for tracebacks that it would show in its own way
    import structlog
    from structlog.typing import EventDict, Processor, WrappedLogger

STRUCK_OUT: Final = "[secret]"
# A shorter secret would strike out half of every line; it is still struck out where it stands as a whole value.
_SHORTEST: Final = 5
_PLAIN: Final = re.compile(r"[^\s\"=\\]+")
_COLOURS: Final = {"debug": "2", "info": "32", "warning": "33", "error": "31", "critical": "1;31"}
# They tell at INFO what only their own developers need.
_CHATTY: Final = ("aiosqlite", "aioimaplib", "alembic.runtime", "asyncio", "nats", "aiohttp.access")

_secrets: set[str] = set()
# Those that are struck out anywhere in a line, the longest first: a secret may be part of another one.
_in_lines: list[str] = []


def hide(secret: str) -> None:
    """From now on `secret`, also quoted for a URL, JSON or Python or in base64, is struck out of every line."""
    if secret and secret not in _secrets:
        _learn(*_forms(secret))


def forget(secret: str) -> None:
    """`secret` is one no more: an access token that another one replaced. Without it they would pile up for ever."""
    if secret:
        _secrets.difference_update(_forms(secret))
        _learn()


def _forms(secret: str) -> tuple[str, ...]:
    raw = secret.encode(errors="surrogatepass")
    return (
        *(secret, quote(raw, safe=""), base64.b64encode(raw).decode(), repr(secret)[1:-1]),
        *(json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]),
    )


def hide_account(account: Account) -> None:
    """The same for what the account logs in with, in every form in which it is sent."""
    password = account.password.get_secret_value()
    hide(password)
    hide(f"\0{account.user}\0{password}")  # AUTHENTICATE PLAIN, RFC 4616 §2
    for secret in account.oauth.secrets() if account.oauth is not None else ():
        hide(secret)


def _learn(*secrets: str) -> None:
    _secrets.update(secrets)
    _in_lines[:] = sorted((each for each in _secrets if len(each) >= _SHORTEST), key=len, reverse=True)


def strike_out(line: str) -> str:
    """The line without any secret that `hide` was told, and without those of the api's tokens."""
    line = api_token.struck_out(line, STRUCK_OUT)
    for secret in _in_lines:
        if secret in line:
            line = line.replace(secret, STRUCK_OUT)
    return line


def configure(settings: Settings, process: str, *, stream: TextIO | None = None) -> None:
    """Set up structlog and logging for this process; `process` is the word that stands in each line (`syncer`)."""
    stream = stream or sys.stderr
    for secret in settings.secrets():
        hide(secret)
    for account in settings.accounts:
        hide_account(account)

    def name_the_process(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
        event.setdefault("process", process)
        return event

    as_json = settings.log_format == "json"
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        name_the_process,
        structlog.processors.format_exc_info,
        _strike_out_values,
    ]
    render = _render_json if as_json else _render_console(colours=stream.isatty())
    # Straight to the stream: the way through `logging` costs a message as much as all the rest of its line.
    structlog.configure(
        processors=[*shared, render],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[settings.log_level]),
        logger_factory=structlog.WriteLoggerFactory(stream),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, render],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.log_level)
    for name in _CHATTY:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))


def _strike_out_values(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    # Before rendering, which would quote a secret that is quoted already once more.
    for key, value in event.items():
        if not key.startswith("_"):  # those are structlog's own
            event[key] = _without_secrets(value)
    return event


def _without_secrets(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, Mapping):
        return {str(_without_secrets(key)): _without_secrets(one) for key, one in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_without_secrets(one) for one in value]
    text = str(value)
    return STRUCK_OUT if text in _secrets else strike_out(text)


def _render_json(_: WrappedLogger, __: str, event: EventDict) -> str:
    first = {key: event.pop(key) for key in ("time", "level", "process", "event") if key in event}
    return strike_out(json.dumps({**first, **event}, default=str, ensure_ascii=True))


def _render_console(*, colours: bool) -> Processor:
    def render(_: WrappedLogger, __: str, event: EventDict) -> str:
        time = str(event.pop("time", ""))[:23].replace("T", " ") + "Z"
        level = str(event.pop("level", "info"))
        process = str(event.pop("process", ""))
        name = one_line(str(event.pop("event", "")))
        trace = event.pop("exception", None)
        facts = "  ".join(f"{key}={value_text(value)}" for key, value in event.items())
        head = f"{level.upper():<8}"
        if colours:
            head, time, name = (
                f"\x1b[{_COLOURS.get(level, '0')}m{head}\x1b[0m",
                f"\x1b[2m{time}\x1b[0m",
                f"\x1b[1m{name}\x1b[0m",
            )
        line = f"{time} {head} {process:<9} {name}" + (f"  {facts}" if facts else "")
        if trace is not None:
            line = "\n".join((line, *(one_line(part) for part in str(trace).split("\n"))))
        return strike_out(line)

    return render


def value_text(value: Any) -> str:
    """A value as it stands after `key=`: bare when that is unambiguous, quoted as JSON otherwise."""
    text = str(value)
    if _PLAIN.fullmatch(text) and one_line(text) == text:
        return text
    return one_line(json.dumps(text, ensure_ascii=False))
