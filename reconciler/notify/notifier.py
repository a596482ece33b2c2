"""Sends notifications, each destination in a thread of its own, so that none holds up another or the controller."""

from __future__ import annotations

import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, Literal, TypeAlias
from urllib.parse import urlsplit

import requests
from urllib3.exceptions import HTTPError

from reconciler.bounded_http import BoundedSession, SlowAnswerError, UnacceptableAnswerError, send_within
from reconciler.controller.events import ANNOUNCED, Event
from reconciler.notify.destination import Destination, parse_destination
from reconciler.notify.payload import Undelivered, outgoing, undelivered
from reconciler.text.hosts import is_loopback

#: How many notifications wait for a destination. When there are more, the oldest one is dropped.
WAITING: Final = 256
#: How long the whole call of one attempt may take, in seconds.
ATTEMPT: Final = 15.0
#: The waits between attempts, in seconds. After the last attempt, the notification is given up.
WAITS: Final = (1.0, 5.0, 15.0, 60.0, 60.0)
#: The longest wait that a destination may ask for with ``Retry-After``, in seconds.
LONGEST_WAIT: Final = 300.0

Outcome: TypeAlias = Literal["sent", "failed", "dropped"]
OnOutcome: TypeAlias = Callable[[str, Outcome], None]


class Notifier:
    """Announces events (:data:`~reconciler.controller.events.ANNOUNCED`) at webhooks.

    It is an ``OnEvent``: call it from any thread, it never blocks.

    Args:
        urls: destinations, as :func:`~reconciler.notify.destination.parse_destination` takes them.
        secret: what signs, for destinations that have no secret of their own.
        say: gets one sentence when a destination begins to fail, and when it works again.
        on_outcome: gets the kind of the event and what became of it, for each destination.

    Raises:
        UsageError: a destination can't be used.
    """

    def __init__(
        self,
        urls: Sequence[str],
        secret: str = "",
        *,
        say: Callable[[str], None] = lambda sentence: None,
        on_outcome: OnOutcome = lambda kind, outcome: None,
        waits: Sequence[float] = WAITS,
    ) -> None:
        parsed = dict.fromkeys(parse_destination(url, secret) for url in urls)
        self._senders = [_Sender(one, say, on_outcome, waits) for one in parsed]

    def __enter__(self) -> Notifier:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __call__(self, event: Event) -> None:
        if event.kind in ANNOUNCED:
            for sender in self._senders:
                sender.put(event)

    def close(self, patience: float = 5.0) -> None:
        """Send what waits, each notification once more at most, and stop. ``patience`` is in seconds, for all."""
        for sender in self._senders:
            sender.finish()
        end = time.monotonic() + patience
        for sender in self._senders:
            sender.join(max(0.0, end - time.monotonic()))
            sender.say_what_is_left()


class _Sender:
    """Sends to one destination."""

    def __init__(
        self,
        destination: Destination,
        say: Callable[[str], None],
        on_outcome: OnOutcome,
        waits: Sequence[float],
    ) -> None:
        self._destination = destination
        self._say = say
        self._on_outcome = on_outcome
        self._waits = waits
        self._waiting: deque[Event] = deque()
        self._changed = threading.Condition()
        self._finish = threading.Event()
        self._failing = False
        self._sending = False
        self._thread = threading.Thread(target=self._run, name="reconciler-notify", daemon=True)
        self._thread.start()

    def put(self, event: Event) -> None:
        dropped = None
        with self._changed:
            if len(self._waiting) >= WAITING:
                dropped = self._waiting.popleft()
            self._waiting.append(event)
            self._changed.notify()
        if dropped is not None:
            self._on_outcome(dropped.kind, "dropped")

    def finish(self) -> None:
        with self._changed:
            self._finish.set()
            self._changed.notify()

    def join(self, patience: float) -> None:
        self._thread.join(patience)

    def say_what_is_left(self) -> None:
        with self._changed:
            left = len(self._waiting) + self._sending
        if left:
            these = "1 notification was" if left == 1 else f"{left} notifications were"
            self._say(f"{these} not delivered before the end ({self._destination.name})")

    def _run(self) -> None:
        with BoundedSession() as session:
            while True:
                with self._changed:
                    self._changed.wait_for(lambda: self._waiting or self._finish.is_set())
                    if not self._waiting:
                        return
                    event = self._waiting.popleft()
                    self._sending = True
                self._deliver(session, event)
                self._sending = False

    def _deliver(self, session: BoundedSession, event: Event) -> None:
        delivery = uuid.uuid4().hex
        failure, asked = self._attempt(session, event, delivery)
        for wait in self._waits:
            if failure is None or not failure.passing or self._finish.wait(max(wait, asked)):
                break
            failure, asked = self._attempt(session, event, delivery)
        self._on_outcome(event.kind, "sent" if failure is None else "failed")
        name = self._destination.name
        if failure is not None and not self._failing:
            self._say(f"notifications can't be delivered ({name}): {failure.why}")
        elif failure is None and self._failing:
            self._say(f"notifications are delivered again ({name})")
        self._failing = failure is not None

    def _attempt(
        self, session: BoundedSession, event: Event, delivery: str
    ) -> tuple[Undelivered | None, float]:
        """Why it was not delivered, and how many seconds the destination asks to wait."""
        request = outgoing(self._destination, event, delivery, time.time())
        prepared = requests.Request("POST", request.url, dict(request.headers), data=request.body)
        session.trust_env = not is_loopback(urlsplit(request.url).hostname or "")
        settings = session.merge_environment_settings(request.url, {}, True, None, None)
        try:
            answer = send_within(
                session,
                session.prepare_request(prepared),
                ATTEMPT,
                timeout=ATTEMPT,
                allow_redirects=False,
                **settings,
            )
        except UnacceptableAnswerError as error:
            return Undelivered(error.what, error.passing), 0.0
        except SlowAnswerError as error:
            return Undelivered(str(error), passing=True), 0.0
        except (requests.RequestException, HTTPError, ValueError) as error:
            # The text of such an error has the address in it.
            return Undelivered(f"no answer ({type(error).__name__})", passing=True), 0.0
        asked = answer.headers.get("Retry-After", "")
        wait = min(float(asked), LONGEST_WAIT) if asked.isascii() and asked.isdecimal() else 0.0
        return undelivered(self._destination, answer.status_code, answer.content), wait
