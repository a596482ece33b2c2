"""How kopf watches the cluster: what it does if the API server fails or is silent."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Final

import kopf

#: How long a watch may be silent (seconds) before its connection is taken for dead. Kubernetes says something once a
#: minute, so a watch of a quiet cluster is often asked for again, which is one cheap request.
SILENCE: Final = 30.0


class _Backoffs:
    """How long to wait (seconds) between attempts. There is no last one: whether this process has lost the cluster is
    for the Lease to say."""

    def __iter__(self) -> Iterator[float]:
        return itertools.chain((1.0, 1.0, 2.0, 3.0), itertools.repeat(5.0))


def watch_settings() -> kopf.OperatorSettings:
    """kopf's settings."""
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False  # events are the reporter's
    settings.scanning.disabled = True  # namespaces and resource kinds need no watching
    settings.watching.inactivity_timeout = SILENCE
    settings.watching.connect_timeout = 5.0
    settings.networking.request_timeout = 30.0
    settings.networking.error_backoffs = _Backoffs()
    return settings
