"""A controller seen from outside: health, metrics, status, a page, and a few calls, over HTTP.

::

    metrics, feed = Metrics(), Feed()
    controller = Controller(..., on_event=[metrics, feed])
    with serve(controller, "127.0.0.1:9464", metrics=metrics, feed=feed) as url:
        ...
"""

from reconciler.web.admission import HEADER as HEADER
from reconciler.web.admission import read_token as read_token
from reconciler.web.controlled import Controlled as Controlled
from reconciler.web.feed import Feed as Feed
from reconciler.web.metrics import Metrics as Metrics
from reconciler.web.probes import Probes as Probes
from reconciler.web.run import parse_listen as parse_listen
from reconciler.web.run import serve as serve
