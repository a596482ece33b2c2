"""Serve it: ``DRF_API_KEYS=some-key python -m tests.services.drf --port 0``.

The first line on standard output is the address. What varies is in :mod:`tests.services.drf.variant`.
"""

from __future__ import annotations

import argparse
import os
import threading
from importlib import import_module

from tests.services.drf.variant import VariantError, read_variant

FIRST_ACCOUNT = 70


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.services.drf")
    parser.add_argument("--port", type=int, default=0, help="0 for a free one (default)")
    parser.add_argument("--database", metavar="FILE", help="a file of SQLite (default: in memory)")
    parser.add_argument("--access-log", metavar="FILE", help="gets a line of JSON for each request")
    parser.add_argument("--watch-stdin", action="store_true", help="stop when standard input ends")
    options = parser.parse_args()
    try:
        read_variant(os.environ)
    except VariantError as error:
        parser.error(str(error))
    if options.database:
        os.environ["SERVICE_DATABASE"] = options.database
    if options.access_log:
        os.environ["SERVICE_ACCESS_LOG"] = options.access_log
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.services.drf.settings"
    if options.watch_stdin:
        threading.Thread(target=_stop_with_stdin, daemon=True).start()
    # Tables in memory are locked as a whole, with no wait: one thread at a time.
    _serve(options.port, threads=8 if options.database else 1)


def _serve(port: int, threads: int) -> None:
    import waitress
    from django.conf import settings
    from django.core.wsgi import get_wsgi_application

    application = get_wsgi_application()
    _make_tables()
    import_module(settings.ROOT_URLCONF)  # what is wrong with it is said now, not to the first request
    server = waitress.create_server(application, host="127.0.0.1", port=port, threads=threads)
    print(f"http://127.0.0.1:{server.effective_port}", flush=True)
    server.run()


def _make_tables() -> None:
    """Make what is not there yet. There is nothing to migrate from."""
    from django.apps import apps
    from django.conf import settings
    from django.db import connection

    from tests.services.drf.models import Account

    there = connection.introspection.table_names()
    with connection.schema_editor() as editor:
        for model in apps.get_app_config("drf").get_models():
            if model._meta.db_table not in there:
                editor.create_model(model)
    variant = settings.VARIANT
    for api_id, key in enumerate(variant.api_keys, FIRST_ACCOUNT):
        Account.objects.update_or_create(pk=api_id, defaults={"key": key, "points": variant.points})


def _stop_with_stdin() -> None:
    # The descriptor itself: the lock of sys.stdin would be in the way of a start that fails.
    while os.read(0, 1024):
        pass
    os._exit(0)


if __name__ == "__main__":
    main()
