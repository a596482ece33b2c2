"""Notifications: what happens to watched catalogs, sent to webhooks.

::

    with Notifier(["https://hooks.slack.com/services/…"], say=print) as notifier:
        Controller(..., on_event=[notifier])
"""

from reconciler.notify.destination import Destination as Destination
from reconciler.notify.destination import parse_destination as parse_destination
from reconciler.notify.notifier import Notifier as Notifier
