"""What to say about a command that does not exist: a typing error, or the habit of another tool.

A command that changes the account or files is suggested only for what is nearly its name. For a word that is merely
similar, it would be a trap: `get` is similar to `forget`, `import` to `export`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

from reconciler.text.nearest import nearest

#: The commands that change the account, the archive or files.
CHANGING: Final = frozenset(
    {
        "apply",
        "adopt",
        "forget",
        "mv",
        "archive",
        "unlock",
        "doctor",
        "comment",
        "export",
        "init",
        "new",
        "fmt",
    }
)

#: How similar (0 to 1) a word has to be to the name of a command that changes something. A letter too many, too few
#: or out of place in a word of five letters is above it.
_NEARLY: Final = 0.79

_DELETE: Final = (
    "To delete sessions, remove them from the catalog and run `reconciler apply`. "
    "To keep them live and stop managing them, run `reconciler forget KEY`."
)
_ROLLBACK: Final = (
    "To go back, run `git revert` and then `reconciler apply`. "
    "`reconciler archive list` shows what was deleted or overwritten."
)

#: The words of other tools, each with the command that does this here, or with what to do instead.
HABITS: Final[Mapping[str, str]] = {
    "get": "list",
    "ls": "list",
    "sessions": "list",
    "state": "list",
    "describe": "explain",
    "import": "adopt",
    "manage": "adopt",
    "diff": "plan",
    "preview": "plan",
    "dry-run": "plan",
    "deploy": "apply",
    "sync": "apply",
    "push": "apply",
    "up": "apply",
    "status": "drift",
    "refresh": "drift",
    "check": "validate",
    "format": "fmt",
    "add": "new",
    "create": "new",
    "move": "mv",
    "rename": "mv",
    "release": "forget",
    "unmanage": "forget",
    "pull": "export",
    "dump": "export",
    "download": "export",
    "log": "history",
    "runs": "history",
    "restore": "archive restore",
    "undelete": "archive restore",
    "force-unlock": "unlock",
    "serve": "server",
    "version": "--version",
    "help": "--help",
    "destroy": _DELETE,
    "delete": _DELETE,
    "rm": _DELETE,
    "remove": _DELETE,
    "prune": _DELETE,
    "down": _DELETE,
    "rollback": _ROLLBACK,
    "undo": _ROLLBACK,
    "revert": _ROLLBACK,
}


#: What follows a command that can't do without: words in capitals are for the reader to fill in.
_ARGUMENTS: Final[Mapping[str, str]] = {
    "adopt": "KEY=ID",
    "approve": "DIGEST",
    "archive": "list",
    "archive restore": "ID",
    "completion": "SHELL",
    "diff-env": "ONE OTHER",
    "explain": "KEY",
    "forget": "KEY",
    "mv": "OLD NEW",
    "new": "KEY",
    "show": "PLAN",
    "snapshot": "FILE",
}


def instead(word: str, commands: Collection[str]) -> str:
    """A sentence that says what to type instead of an unknown command; empty if nothing is near."""
    known = HABITS.get(word.lower())
    if known is not None:
        return known if " `" in known else _meant(known)
    word = word.lower()
    safe = nearest(word, [name for name in commands if name not in CHANGING])
    changing = nearest(
        word, [name for name in commands if name in CHANGING and name[:1] == word[:1]], _NEARLY
    )
    near = changing or safe
    return _meant(near) if near else ""


def _meant(name: str) -> str:
    return f"Did you mean `{' '.join(filter(None, ('reconciler', name, _ARGUMENTS.get(name))))}`?"
