"""What sees a watcher from outside, as the flags say: the log, HTTP, notifications and traces."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reconciler.cli.event_log import event_log, tell
from reconciler.disk import read_named
from reconciler.errors import ReconcilerError, UsageError

if TYPE_CHECKING:
    from reconciler.api.client import Observer
    from reconciler.controller.events import OnEvent
    from reconciler.web import Controlled, Feed, Metrics


def check_flags(flags: Mapping[str, Any], *, once: bool) -> None:
    """See that the flags have an effect.

    Raises:
        UsageError: one has none.
    """
    if once and flags["listen"]:
        raise UsageError("--listen has no effect with --once", "leave out one of the two")
    if flags["token_file"] and not flags["listen"]:
        raise UsageError("--token-file is for --listen", "add --listen=HOST:PORT")
    if flags["notify_secret_file"] and not flags["notify"]:
        raise UsageError("--notify-secret-file is for --notify", "add --notify=URL")


@dataclass(slots=True)
class Outside:
    """What a controller is given, and what serves it."""

    on_event: list[OnEvent]
    say: Callable[[str], None]
    listen: str | None
    token: str | None
    observers: list[Any] = field(default_factory=list)
    metrics: Metrics | None = None
    feed: Feed | None = None

    def on_call(self, account: str) -> Observer:
        """Lets all observers see the calls of an account."""
        seeing: list[Observer] = [observer(account) for observer in self.observers]

        def called(*call: Any) -> None:
            for see in seeing:
                see(*call)

        return called

    @contextmanager
    def serving(self, controller: Controlled, **how: Any) -> Iterator[None]:
        """Serve a controller, if that is asked for, as :func:`reconciler.web.run.serve` is told.

        Raises:
            ReconcilerError: as by :func:`reconciler.web.run.serve`.
        """
        if self.listen is None or self.metrics is None or self.feed is None:
            yield
            return
        from reconciler.web import serve

        how |= {"metrics": self.metrics, "feed": self.feed, "on_bug": self._tell_bug}
        with serve(controller, self.listen, self.token, **how) as url:
            self.say(f"listening at {url}")
            yield

    def _tell_bug(self, error: Exception) -> None:
        self.say(f"a request was answered with 500: {type(error).__name__}")


@contextmanager
def outside(flags: Mapping[str, Any]) -> Iterator[Outside]:
    """What the flags and the variables of OpenTelemetry ask for. It ends with the block.

    Raises:
        ReconcilerError: the token, the secret or an address can't be used.
    """
    form = flags["log_format"]
    say = partial(tell, form)
    found = Outside([event_log(form, verbose=flags["log_all"])], say, flags["listen"], None)
    with ExitStack() as ends:
        if found.listen is not None:
            from reconciler.web import Feed, Metrics, read_token

            found.token = None if flags["token_file"] is None else read_token(flags["token_file"])
            found.metrics, found.feed = Metrics(), Feed()
            found.on_event += [found.metrics, found.feed]
            found.observers.append(found.metrics.observer)
        if flags["notify"]:
            from reconciler.notify import Notifier

            secret = "" if flags["notify_secret_file"] is None else _secret(flags["notify_secret_file"])
            count = (lambda *_: None) if found.metrics is None else found.metrics.notified
            notifier = Notifier(flags["notify"], secret, say=say, on_outcome=count)
            found.on_event.append(ends.enter_context(notifier))
        from reconciler.telemetry import start_tracing

        tracing = start_tracing(say=say)
        if tracing is not None:
            ends.callback(tracing.close)
            found.on_event.append(tracing)
            found.observers.append(tracing.observer)
        yield found


def _secret(file: Path) -> str:
    try:
        secret = read_named(file, 4096).decode().strip()
    except OSError as error:
        raise ReconcilerError(f"the secret file {file} can't be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ReconcilerError(f"the secret in {file} is not UTF-8") from None
    if not secret:
        raise ReconcilerError(f"the secret file {file} is empty")
    return secret
