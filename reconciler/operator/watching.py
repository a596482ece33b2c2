"""The watch of the cluster: kopf tells the fleet what is there, and goes on if the API server fails or is silent."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import kopf

from reconciler.errors import ReconcilerError
from reconciler.operator.cluster import GROUP, PLURAL, VERSION
from reconciler.operator.fleet import Fleet
from reconciler.operator.unexpected import Say, in_sentences, sentence, survived

#: How long a watch may be silent (seconds) before its connection is taken for dead. Kubernetes says something once a
#: minute, so a watch of a quiet cluster is often asked for again, which is one cheap request.
SILENCE: Final = 30.0


class _Backoffs:
    """How long to wait (seconds) between attempts. There is no last one: whether this process has lost the cluster is
    for the Lease to say."""

    def __iter__(self) -> Iterator[float]:
        return itertools.chain((1.0, 1.0, 2.0, 3.0), itertools.repeat(5.0))


def watch(
    fleet: Fleet,
    namespaces: Sequence[str],
    say: Say,
    *,
    relisted: Callable[[], None],
    goes_on: Callable[[], bool],
) -> None:
    """Let kopf tell the fleet what happens in these namespaces, or in all if there are none, until ``goes_on`` returns
    False. It is asked again and again, and waits a moment before it answers. ``relisted`` is called if kopf had to list
    anew.

    Raises:
        ReconcilerError: kopf ended by itself.
    """
    flag = threading.Event()
    why: list[str] = []

    def run() -> None:
        try:
            with in_sentences(say, "kopf", "asyncio"):
                kopf.run(
                    registry=_registry(fleet, say, relisted),
                    settings=_settings(),
                    standalone=True,  # the Lease elects, not kopf's peering
                    clusterwide=not namespaces,
                    namespaces=namespaces,
                    stop_flag=flag,
                )
        except Exception as error:
            why.append(f" ({sentence(error)})")

    # In a thread of its own, because in the main thread it would take over the signals. It is not joined: what it still
    # hands over changes nothing in a fleet that has stopped.
    thread = threading.Thread(target=run, name="kopf", daemon=True)
    thread.start()
    while thread.is_alive() and goes_on():
        pass
    ended = not thread.is_alive()
    flag.set()
    if ended:
        raise ReconcilerError(
            f"the cluster is no longer watched: kopf has ended{''.join(why)}",
            "start it again; the log above says what it could not do",
        )


def _settings() -> kopf.OperatorSettings:
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False  # events are the reporter's
    settings.scanning.disabled = True  # namespaces and resource kinds need no watching
    settings.watching.inactivity_timeout = SILENCE
    settings.watching.connect_timeout = 5.0
    settings.networking.request_timeout = 30.0
    settings.networking.error_backoffs = _Backoffs()
    return settings


def _registry(fleet: Fleet, say: Say, relisted: Callable[[], None]) -> kopf.OperatorRegistry:
    """kopf's handlers: raw events alone, so that kopf itself writes nothing to the cluster.

    If the history of a watch is gone, kopf lists what there is (events without a type), and does not tell what was
    deleted: then ``relisted`` is called.
    """
    registry = kopf.OperatorRegistry()

    @kopf.on.event(GROUP, VERSION, PLURAL, registry=registry)
    async def resource(event: Any, **_: Any) -> None:
        if event["type"] is None:
            relisted()
        with survived(say, event["object"]):
            if event["type"] == "DELETED":
                fleet.gone(event["object"]["metadata"]["uid"])
            else:
                fleet.resource(event["object"])

    @kopf.on.event("", "v1", "secrets", registry=registry)
    async def secret(event: Any, **_: Any) -> None:
        if event["type"] is None:
            relisted()
        gone = event["type"] == "DELETED"
        with survived(say, event["object"]):
            fleet.secret(event["object"], gone=gone)
            fleet.input("secrets", event["object"], gone=gone)

    @kopf.on.event("", "v1", "configmaps", registry=registry)
    async def config_map(event: Any, **_: Any) -> None:
        with survived(say, event["object"]):
            fleet.input("configmaps", event["object"], gone=event["type"] == "DELETED")

    @kopf.on.login(registry=registry)
    async def login(**given: Any) -> kopf.ConnectionInfo | None:
        return kopf.login_with_service_account(**given) or kopf.login_with_kubeconfig(**given)

    return registry
