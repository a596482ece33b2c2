"""The settings of the Django project. Where its database and its access log are is set by ``__main__``."""

from __future__ import annotations

import os

from tests.services.drf.variant import read_variant

VARIANT = read_variant(os.environ)

#: The file that gets a line of JSON for each request, or nothing.
ACCESS_LOG = os.environ.get("SERVICE_ACCESS_LOG", "")

DEBUG = False
ALLOWED_HOSTS = ("127.0.0.1", "localhost")
SECRET_KEY = "of no use here: there are neither cookies nor signatures"
ROOT_URLCONF = "tests.services.drf.urls"
INSTALLED_APPS = ("rest_framework", "django_filters", "tests.services.drf")
MIDDLEWARE = (
    "tests.services.drf.middleware.AccessLog",
    "tests.services.drf.middleware.LongestQuery",
    "django.middleware.common.CommonMiddleware",
)

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ.get("SERVICE_DATABASE", "file:drf?mode=memory&cache=shared"),
        "CONN_MAX_AGE": None,
        "OPTIONS": {
            "timeout": 20,
            "transaction_mode": "IMMEDIATE",
            "init_command": "PRAGMA journal_mode=wal; PRAGMA synchronous=off",
        },
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

LANGUAGE_CODE = VARIANT.language
USE_I18N = True
TIME_ZONE = VARIANT.time_zone
USE_TZ = True

REST_FRAMEWORK = {
    "DATETIME_FORMAT": "%Y-%m-%d %H:%M:%S",
    "DEFAULT_AUTHENTICATION_CLASSES": ("tests.services.drf.authentication.BearerAuthentication",),
    "DEFAULT_FILTER_BACKENDS": (
        "django_filters.rest_framework.DjangoFilterBackend",
        "rest_framework.filters.OrderingFilter",
    ),
    "DEFAULT_PERMISSION_CLASSES": ("rest_framework.permissions.IsAuthenticated",),
    "DEFAULT_RENDERER_CLASSES": ("rest_framework.renderers.JSONRenderer",),
    "DEFAULT_THROTTLE_CLASSES": (
        () if VARIANT.throttle == "off" else ("tests.services.drf.throttling.AccountThrottle",)
    ),
    "DEFAULT_THROTTLE_RATES": {"account": VARIANT.throttle},
    "EXCEPTION_HANDLER": "tests.services.drf.answers.exception_handler",
    "UNAUTHENTICATED_USER": None,
}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,  # waitress has made its own already
    "handlers": {"console": {"class": "logging.StreamHandler", "level": "ERROR"}},
    "root": {"handlers": ("console",)},
}
