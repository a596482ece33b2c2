"""The installed command, and ``python -m reconciler``."""

import os
import signal
from types import FrameType
from typing import NoReturn


def main() -> NoReturn:
    """Run the command line, which ends the process.

    Importing it takes a moment. Ctrl-C in that moment ends the process like a later one, with 130 and without a
    traceback. A process that ignores the signal, as one in the background of a shell, goes on ignoring it.
    """
    before = signal.getsignal(signal.SIGINT)
    if before is signal.default_int_handler:
        signal.signal(signal.SIGINT, _stop)
    from reconciler.cli import main as run

    signal.signal(signal.SIGINT, before)
    run()


def _stop(_: int, __: FrameType | None) -> None:
    os._exit(130)


if __name__ == "__main__":
    main()
