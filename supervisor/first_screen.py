"""What `mozzart up` says to a person once everything runs. Pure."""

from __future__ import annotations

from sqlalchemy import make_url

from mailcore.settings import Settings

# An address to listen on is not always one to open in a browser.
_OPENED = {"0.0.0.0": "127.0.0.1", "::": "[::1]", "": "127.0.0.1"}  # noqa: S104 - nothing is bound here

_NONE = "none in the settings; add one: /admin/accounts/, `mozzart accounts`"


def first_screen(settings: Settings) -> str:
    """Where the pages are and who may sign in, where mail and files lie, how to stop. Names files of secrets, never
    a secret."""
    host = _OPENED.get(settings.api_host, settings.api_host)
    address = f"http://{f'[{host}]' if ':' in host and not host.startswith('[') else host}:{settings.api_port}"
    if not settings.api_port:
        address = "the port that the line `listening` names"
    password = "ADMIN_PASSWORD" if settings.admin_password.get_secret_value() else f"in {settings.admin_password_path}"
    token = "API_TOKEN" if settings.api_token.get_secret_value() else f"in {settings.api_token_path}"
    database = make_url(settings.database_url)
    stored = database.database if database.get_backend_name() == "sqlite" else database.render_as_string()
    lines = [
        ("pages", f"{address}/admin/" if settings.api_port else address),
        ("", f"user {settings.admin_user}, password: {password}"),
        *([] if settings.imap_configured else [("accounts", _NONE)]),
        ("api", f"{address}/api/docs/" if settings.api_port else address),
        ("", f"token: {token}"),
        ("mail", str(stored)),
        ("files", str(settings.media_root)),
        ("more", "`mozzart status`, `mozzart doctor`"),
        ("stop", "Ctrl-C"),
    ]
    width = max(len(name) for name, _ in lines)
    return "\nMozzart runs.\n" + "".join(f"  {name:<{width}} {text}\n" for name, text in lines) + "\n"
