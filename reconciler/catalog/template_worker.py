"""The child process that renders templates: run as a script, it reads requests from stdin and answers on stdout.

One JSON line each: ``[template, variables]`` in, ``{"text": …}`` or ``{"message": …, "hint": …, "line": …}`` out. It
imports nothing of this package, opens nothing, and is killed by its parent when it takes too long.

Wherever a value becomes text, :func:`_text` does it: the same variables give the same text on every machine and in
every run. Python's own notation, which holds addresses in memory, never gets into a prompt.
"""

from __future__ import annotations

import json
import re
import signal
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache, wraps
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any, Final, NoReturn

import jinja2
from jinja2 import nodes
from jinja2.compiler import CodeGenerator, Frame
from jinja2.exceptions import SecurityError
from jinja2.filters import make_attrgetter
from jinja2.runtime import LoopContext
from jinja2.sandbox import ImmutableSandboxedEnvironment

try:
    import resource
except ImportError:  # Windows has no such module: there, only the parent limits the time
    resource = None  # type: ignore[assignment]

SIZE = 2**20
MEMORY = 512 * 2**20
#: Seconds, of the clock and of the processor. The parent gives up earlier; this is for a parent that was killed.
TIME = 2

# ruff: noqa: SIM905 - short lists of words are easier to read so
_FILTERS = """
    capitalize default d first int float join last length count list lower map max min replace reject rejectattr
    reverse round select selectattr sort string sum title trim truncate unique upper wordcount dictsort indent
""".split()
_TESTS = """
    boolean defined divisibleby eq equalto even false float ge gt greaterthan in integer iterable le lessthan lower
    lt mapping ne none number odd sequence string true undefined upper == != < <= > >=
""".split()


#: By name of a filter that makes text: how many of its arguments are text.
_TEXT_FILTERS: Final = {
    **dict.fromkeys("capitalize indent lower string title trim truncate upper wordcount".split(), 1),
    "replace": 3,
}
_OF_A_LOOP = frozenset(
    "index index0 revindex revindex0 first last length previtem nextitem cycle changed".split()
)
_NO_CHARACTER = re.compile("[\0\ud800-\udfff]")


class _NoTextError(Exception):
    """A value can't be written into a prompt."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.message, self.hint = message, hint


def _text(value: Any) -> str:
    """A value as a prompt shows it: a string as it is, numbers, booleans and null as in YAML, lists and mappings as
    JSON.

    Raises:
        _NoTextError: it is or contains something else, or a character that no prompt can have.
    """
    if isinstance(value, jinja2.Undefined):
        return str(value)  # raises UndefinedError
    if isinstance(value, str):
        text = value
    else:
        _check_data(value)
        text = json.dumps(value, ensure_ascii=False)
    found = _NO_CHARACTER.search(text)
    if found:
        what = "a lone surrogate, half of a character" if found.group() != "\0" else "a NUL character"
        raise _NoTextError(f"the template writes {what}", "remove it from the template or its variables")
    return text


def _check_data(value: Any) -> None:
    """Check that JSON can express a value, and in one way only."""
    if value is None or isinstance(value, str | bool | int):
        return
    if isinstance(value, float):
        if value - value != 0:
            raise _NoTextError(
                "the template writes a number that is infinite or undefined", "limit the number"
            )
    elif isinstance(value, list | tuple):
        for one in value:
            _check_data(one)
    elif isinstance(value, dict):
        if not all(isinstance(key, str) for key in value):
            raise _NoTextError(
                "the template writes a mapping with a key that is not a string", "quote the key"
            )
        for one in value.values():
            _check_data(one)
    elif isinstance(value, jinja2.Undefined):
        str(value)  # raises UndefinedError
    elif isinstance(value, BuiltinFunctionType | FunctionType | MethodType | type):
        raise _NoTextError("the template writes a function, not a value", "add `()` to call it")
    elif isinstance(value, Iterable) and not isinstance(value, LoopContext):
        raise _NoTextError(
            "the template writes an iterator, which has no text", "add `| list`, or `| join(', ')`"
        )
    else:
        raise _NoTextError(
            "the template writes something that is not a string, number, boolean, null, list or mapping",
            "write one of its values",
        )


@jinja2.pass_context  # so that jinja calls it while rendering, not while compiling
def _finalize(_context: Any, value: Any) -> str:
    return _text(value)


@jinja2.pass_environment
def _join(environment: Any, value: Iterable[Any], d: Any = "", attribute: str | int | None = None) -> str:
    if attribute is not None:
        value = map(make_attrgetter(environment, attribute), value)
    return _text(d).join(map(_text, value))


def _of_text(function: Callable[..., Any], number: int) -> Callable[..., Any]:
    """A filter whose first arguments become text by :func:`_text`."""
    first = 1 if hasattr(function, "jinja_pass_arg") else 0

    @wraps(function)  # keeps the mark `jinja_pass_arg`
    def filtered(*given: Any, **named: Any) -> Any:
        texts = [_text(one) for one in given[first : first + number]]
        texts_by_name = {name: _text(one) if name in ("old", "new") else one for name, one in named.items()}
        return function(*given[:first], *texts, *given[first + number :], **texts_by_name)

    return filtered


class _Code(CodeGenerator):
    def visit_Concat(self, node: nodes.Concat, frame: Frame) -> None:  # noqa: N802 - jinja's name
        self.write("environment.concat_values((")
        for one in node.nodes:
            self.visit(one, frame)
            self.write(", ")
        self.write("))")


class _Environment(ImmutableSandboxedEnvironment):
    intercepted_binops = frozenset(["*", "**", "%"])
    code_generator_class = _Code

    def __init__(self) -> None:
        # Unoptimised: the optimizer would work out constants while compiling, outside of the limits below.
        super().__init__(
            undefined=jinja2.StrictUndefined,
            autoescape=False,
            keep_trailing_newline=True,
            optimized=False,
            finalize=_finalize,
        )
        self.filters = {name: self.filters[name] for name in _FILTERS}
        for name, number in _TEXT_FILTERS.items():
            self.filters[name] = _of_text(self.filters[name], number)
        self.filters["join"] = _join
        self.tests = {name: self.tests[name] for name in _TESTS}
        self.globals = {"range": self.globals["range"]}

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        if operator == "**":
            raise SecurityError("powers are not available in prompts")
        if operator == "*" and not (isinstance(left, int | float) and isinstance(right, int | float)):
            raise SecurityError("only numbers can be multiplied")
        if operator == "%" and not (isinstance(left, int | float) and isinstance(right, int | float)):
            raise SecurityError("only numbers have a remainder")
        return super().call_binop(context, operator, left, right)

    def concat_values(self, values: Iterable[Any]) -> str:
        """What ``~`` makes."""
        return "".join(map(_text, values))

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        # Variables hold plain data: of its methods, none is needed that could make much out of little.
        if isinstance(obj, LoopContext):
            return attr in _OF_A_LOOP
        if attr.startswith("_") or not isinstance(obj, str | dict | list):
            return False
        return attr in ("items", "keys", "values", "get", "upper", "lower", "strip", "startswith", "endswith")

    def getitem(self, obj: Any, argument: Any) -> Any:
        if isinstance(argument, str) and argument.startswith("_"):
            raise SecurityError("names that start with an underscore are not available in prompts")
        return super().getitem(obj, argument)

    def getattr(self, obj: Any, attribute: str) -> Any:
        if isinstance(attribute, str) and attribute.startswith("_"):
            raise SecurityError("names that start with an underscore are not available in prompts")
        if isinstance(obj, str) and attribute in ("format", "format_map"):
            raise SecurityError("`format` is not available in prompts")
        if isinstance(obj, dict) and attribute in obj:
            return obj[attribute]  # jinja would prefer a method of this name
        return super().getattr(obj, attribute)


_REFUSED = {
    nodes.Include: "include",
    nodes.Import: "import",
    nodes.FromImport: "from … import",
    nodes.Extends: "extends",
    nodes.Block: "block",
    nodes.Macro: "macro",
    nodes.CallBlock: "call",
}


def _check(tree: nodes.Template) -> None:
    for kind, word in _REFUSED.items():
        found = tree.find(kind)
        if found is not None:
            raise jinja2.TemplateSyntaxError(f"`{word}` is not available in prompts", found.lineno)


@lru_cache(maxsize=16)  # a thousand rows share a template, and compiling it takes longer than rendering
def _compiled(environment: _Environment, text: str) -> jinja2.Template:
    tree = environment.parse(text)
    _check(tree)
    return environment.from_string(tree)


def _rendered(template: jinja2.Template, variables: Mapping[str, Any]) -> str | None:
    """The text, or ``None`` if it is longer than :data:`SIZE` characters."""
    length, parts = 0, []
    for part in template.generate(**variables):
        length += len(part)
        if length > SIZE:
            return None
        parts.append(part)
    return "".join(parts)


def render(environment: _Environment, text: str, variables: Mapping[str, Any]) -> dict[str, Any]:
    """One response."""
    try:
        template = _compiled(environment, text)
        rendered = _rendered(template, variables)
        if rendered is None:
            return {"message": f"the template renders to more than {SIZE:,} characters", "hint": "shorten it"}
        # Nothing that a template may use should change between two renderings. If something does, every plan would
        # show a change of the prompt.
        if rendered != _rendered(template, variables):
            return {
                "message": "the template renders to a different text each time",
                "hint": "remove what differs: a prompt has to stay the same until its sources change",
            }
        return {"text": rendered}
    except jinja2.TemplateSyntaxError as error:
        return {"message": f"the template is invalid: {error.message}", "line": error.lineno}
    except SecurityError as error:
        return {"message": f"the template does something that is not allowed: {error}", "line": _line(error)}
    except _NoTextError as error:
        return {"message": error.message, "hint": error.hint, "line": _line(error)}
    except jinja2.UndefinedError as error:
        message = str(error.message)
        return {
            "message": f"the template refers to something undefined: {message}",
            "hint": "declare it below `variables:`, or pass --var=NAME=VALUE",
            "line": _line(error),
        }
    except (MemoryError, RecursionError, OverflowError):
        return {"message": "the template uses too much memory", "hint": "simplify it"}
    except TypeError as error:
        if not str(error).endswith("object is not callable"):
            return {"message": f"the template fails: {error}", "line": _line(error)}
        return {
            "message": "the template calls a value that is not a function",
            "hint": "a mapping's own keys take precedence over its methods; for its pairs, write `| dictsort`",
            "line": _line(error),
        }
    except Exception as error:
        return {"message": f"the template fails: {error}", "line": _line(error)}


def _line(error: BaseException) -> int:
    """The line of the template in which an error was raised: jinja gives its code the template's line numbers."""
    line, trace = 0, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == "<template>":
            line = trace.tb_lineno
        trace = trace.tb_next
    return line


def _limit_memory() -> None:
    if resource is not None:
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


def _limit_time() -> None:
    """Let the system end this process if the next template takes longer than the parent, if it lives, waits for it."""
    if resource is None:
        return
    _, most = resource.getrlimit(resource.RLIMIT_CPU)
    used = int(time.process_time()) + 1
    limit = used + TIME if most == resource.RLIM_INFINITY else min(used + TIME, most)
    resource.setrlimit(resource.RLIMIT_CPU, (limit, most))
    signal.alarm(TIME)


def main(read: Callable[[], str], write: Callable[[str], Any]) -> NoReturn:
    """Answer until there is nothing more to read."""
    environment = _Environment()
    _limit_memory()
    write("{}\n")
    while line := read():
        text, variables = json.loads(line)
        _limit_time()
        write(json.dumps(render(environment, text, variables)) + "\n")
        if resource is not None:
            signal.alarm(0)
    sys.exit(0)


if __name__ == "__main__":

    def _write(text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()

    main(sys.stdin.readline, _write)
