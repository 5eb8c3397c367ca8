"""Settings of the example. What is not Django's stands at the end."""

import os
from pathlib import Path
from urllib.parse import unquote, urlsplit

BASE_DIR = Path(__file__).resolve().parents[1]

SECRET_KEY = os.environ["DJANGO_SECRET_KEY"]
DEBUG = os.environ.get("DJANGO_DEBUG") == "1"
ALLOWED_HOSTS = ["localhost", "127.0.0.1"]
ROOT_URLCONF = "mailsite.urls"
USE_TZ = True
TIME_ZONE = "UTC"
STATIC_URL = "static/"
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"console": {"class": "logging.StreamHandler"}},
    "root": {"handlers": ["console"], "level": "WARNING"},
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "mailbox_app",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]


def _mail_database(url: str) -> dict[str, object]:
    """Django's words for a DATABASE_URL of Mozzart."""
    scheme, _, rest = url.partition("://")
    if scheme.startswith("sqlite"):
        # Beside three writers a reader may have to wait for a moment.
        return {"ENGINE": "django.db.backends.sqlite3", "NAME": rest.removeprefix("/"), "OPTIONS": {"timeout": 30}}
    parts = urlsplit(f"postgresql://{rest}")
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(parts.path.removeprefix("/")),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": parts.hostname or "",
        "PORT": parts.port or "",
    }


# Django's own tables (users, sessions) lie in a database of their own, the mail in Mozzart's.
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ.get("DJANGO_DATABASE", str(BASE_DIR / "django.sqlite3")),
    },
    "mail": _mail_database(os.environ["DATABASE_URL"]),
}
DATABASE_ROUTERS = ["mailbox_app.router.MailRouter"]

MEDIA_ROOT = os.environ.get("MEDIA_ROOT", "media")

MOZZART_API = os.environ.get("MOZZART_API", "http://127.0.0.1:8000")
MOZZART_TOKEN = os.environ.get("MOZZART_TOKEN", "")
