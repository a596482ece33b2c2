"""Jinja for prompts with ``template: jinja``: sandboxed, in a separate process.

A catalog may be untrusted. Jinja's sandbox protects the program's objects, but can't stop a template from running
forever or filling the memory: a single operation (``10 ** 10 ** 9``) can't be interrupted. So templates are rendered
in a child process with limited memory and time, which is killed when it exceeds them.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from reconciler.catalog.budget import Budget
from reconciler.catalog.prompts import RenderError
from reconciler.values import JSON

if TYPE_CHECKING:
    import subprocess

#: The seconds that one template may take.
TIME: Final = 0.9


class Renderer:
    """Renders templates in a child process, which is started for the first one. Close it when done."""

    def __init__(self, budget: Budget | None = None) -> None:
        self._child: subprocess.Popen[bytes] | None = None
        self._budget = budget or Budget()

    def __enter__(self) -> Renderer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the child process."""
        if self._child is not None:
            child, self._child = self._child, None
            child.kill()
            child.wait()
            for pipe in (child.stdin, child.stdout):
                if pipe:
                    pipe.close()

    def __call__(self, text: str, variables: Mapping[str, JSON]) -> str:
        """Render one template.

        Raises:
            RenderError: it is wrong, not allowed, or takes too much; or all of them together do.
        """
        excess = self._budget.render(0)
        if excess:
            raise RenderError(*excess, final=True)
        child = self._running()
        start = monotonic()
        assert child.stdin and child.stdout
        request = json.dumps([text, dict(variables)]).encode() + b"\n"
        try:
            child.stdin.write(request)
            child.stdin.flush()
            answer = self._answer(child)
        except (BrokenPipeError, TimeoutError, EOFError) as error:
            self.close()
            limit = f"more than {TIME:g} s" if isinstance(error, TimeoutError) else "too much memory"
            raise RenderError(f"the template takes {limit}", "simplify it") from None
        finally:
            self._budget.render(monotonic() - start)
        if "text" in answer:
            return str(answer["text"])
        raise RenderError(answer["message"], answer.get("hint", ""), answer.get("line", 0))

    def _running(self) -> subprocess.Popen[bytes]:
        if self._child is None:
            import subprocess

            self._child = subprocess.Popen(  # noqa: S603 - our own script
                [sys.executable, "-I", str(Path(__file__).with_name("template_worker.py"))],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env={"PATH": os.environ.get("PATH", "")},
            )
            self._answer(
                self._child, 10.0
            )  # it reports when it is ready; the start does not count as the template's time
        return self._child

    def _answer(self, child: subprocess.Popen[bytes], time: float = TIME) -> dict[str, Any]:
        assert child.stdout
        import selectors

        with selectors.DefaultSelector() as selector:
            selector.register(child.stdout, selectors.EVENT_READ)
            if not selector.select(time):
                raise TimeoutError
        line = child.stdout.readline()
        if not line:
            raise EOFError
        answer: dict[str, Any] = json.loads(line)
        return answer
