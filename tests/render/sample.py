"""Plans to render: one with every kind of action, cause, note and refusal, and some of a given size."""

from __future__ import annotations

from typing import Any

SUMMARY = {
    "create": 0,
    "update": 0,
    "delete": 0,
    "adopt": 0,
    "move": 0,
    "forget": 0,
    "no_op": 0,
    "drift": 0,
    "conflict": 0,
    "managed": 0,
    "unmanaged": 0,
    "foreign": 0,
    "unreadable": 0,
}


def plan(*actions: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A plan of these actions with its summary counted."""
    summary = dict(SUMMARY)
    for one in actions:
        summary[one["action"]] += 1
        causes = {f.get("cause") for f in one["fields"]}
        summary["drift"] += "drift" in causes
        summary["conflict"] += "conflict" in causes
    summary |= more.pop("summary", {})
    return {
        "format_version": "1.0",
        "reconciler_version": "0.1.0",
        "catalog": "bookshop",
        "environment": None,
        "endpoint": "local",
        "summary": summary,
        "actions": list(actions),
        "notes": [],
        "refusals": [],
        **more,
    }


def action(
    kind: str, key: str, session_id: int | None, name: str, reason: str, *fields: Any, **more: Any
) -> Any:
    """One action of a plan."""
    return {
        "action": kind,
        "key": key,
        "session_id": session_id,
        "name": name,
        "reason": reason,
        "fields": list(fields),
        **more,
    }


def change(path: str, before: Any, after: Any, cause: str = "git", **more: Any) -> dict[str, Any]:
    """A field that has another value."""
    return {"path": path, "before": before, "after": after, "cause": cause, **more}


def new(path: str, after: Any, cause: str = "git") -> dict[str, Any]:
    """A field that comes."""
    return {"path": path, "after": after, "cause": cause}


def gone(path: str, before: Any, cause: str = "git") -> dict[str, Any]:
    """A field that goes, or is released."""
    return {"path": path, "before": before, "cause": cause}


PREAMBLE = """You work in a bookshop.
You are polite to every reader.
{rule}
Never tell a reader how a story ends.
Answer in the language you are asked in.
"""

ALICE = """You are Alice, who reads to children on Saturdays.

Speak in short sentences.
Ask what animal they like best, and find a book about it.
You like tea.
If a child is sad, read something funny.
Close with the opening hours: 9 to 18."""

POET = """你是一位住在书店里的诗人。
读者说一个词，你就写一首四行的小诗。
语气温柔，不要用生僻字。
每首诗都以书结尾。"""


def everything() -> dict[str, Any]:
    """Every kind of action, cause, note and refusal, and every way that a value can be shown."""
    shared = [
        action(
            "update",
            f"clerk-{n:02d}",
            2000 + n,
            f"Clerk {n}",
            "changed in git",
            change(
                "prompt",
                PREAMBLE.format(rule="Recommend at most three books.") + f"Your shelf is number {n}.",
                PREAMBLE.format(rule="Recommend one book, two if they can't decide.")
                + f"Your shelf is number {n}.",
            ),
            unchanged=5,
        )
        for n in range(1, 31)
    ]
    return plan(
        action(
            "update",
            "alice",
            1041,
            "Alice Liddell",
            "changed in git",
            change("model", "deepseek-chat", "deepseek-reasoner"),
            change("parameters.temperature", 0.7, 0.3),
            change(
                "prompt",
                ALICE,
                ALICE.replace("You like tea.", "You like green tea and coffee.").replace(
                    "9 to 18", "9\u00a0to\u00a020"
                ),
            ),
            change(
                "data.profile",
                {"city": "Oxford", "likes": ["tea", "cats"], "age": 7},
                {"city": "London", "likes": ["tea", "cats", "chess"], "shoes": 2},
                detail=[
                    {"path": "city", "before": "Oxford", "after": "London"},
                    {"path": "likes[2]", "after": "chess"},
                    {"path": "age", "before": 7},
                    {"path": "shoes", "after": 2},
                ],
            ),
            new("data.shelf", ["fiction", "children"]),
            gone("remark.note", "ask Charles"),
            change("lifecycle.prevent_destroy", False, True),
            unchanged=4,
        ),
        action(
            "update",
            "poet",
            1042,
            "诗人 🖋️",
            "changed outside git",
            change("name", "诗人", "诗人 🖋️", "drift"),
            change("prompt", POET.replace("四行", "八行"), POET, "drift"),
            drift=True,
            unchanged=6,
        ),
        action(
            "update",
            "critic",
            1043,
            "The Critic",
            "changed in git and outside of it",
            change("prompt", "Judge  every book\nin one line.", "Judge every book\nin one line.", "conflict"),
            change("parameters.max_tokens", 2000, 800, "conflict"),
            change("parameters.history_length", 8, 4),
            change("parameters.top_p", 0.9, 0.95, "unknown"),
            gone("remark.color", "red", "released"),
            drift=True,
        ),
        *shared,
        action(
            "create",
            "archivist",
            None,
            "Archivist",
            "not live yet",
            new("name", "Archivist"),
            new("model", "deepseek-chat"),
            new(
                "prompt",
                "\n".join(
                    ["You keep the old catalog cards."] + [f"Drawer {n}: letters." for n in range(2, 42)]
                ),
            ),
            new("parameters.temperature", 0.2),
            new("data.cards", {"drawers": 41, "labelled": True, "missing": None}),
        ),
        action("create", "mute", None, "Mute", "not live yet", new("name", "Mute"), new("prompt", "")),
        action(
            "delete",
            "bob",
            1044,
            "Bob \u202eevil\u202c",
            "not in the catalog any more",
            gone("name", "Bob \u202eevil\u202c"),
            gone(
                "prompt",
                "You are Bob.\nYou sell maps.\nYou know every road.\nYou never guess.\nYou like rain.",
            ),
            gone("parameters.temperature", 0.5),
            messages=1200,
        ),
        action(
            "delete",
            "old-clerk",
            1045,
            "Old Clerk",
            "a second live session of this identity; #1031 stays",
            messages=None,
        ),
        action(
            "adopt",
            "night-porter",
            977,
            "Night Porter",
            "adopted by its id",
            change("model", "gpt-3.5", "deepseek-chat", "unknown"),
            unchanged=2,
        ),
        action("move", "reader-in-chief", 1050, "Reader", "moved in the catalog", **{"from": "reader"}),
        action("forget", "guest", 1051, "Guest", "named under `forgotten`"),
        environment="staging",
        endpoint="https://api.example.com/v1",
        summary={"no_op": 12, "managed": 48, "unmanaged": 12, "foreign": 3, "unreadable": 1},
        notes=[
            {
                "kind": "two-way",
                "message": "its tag has no digests: who changed a field can't be told",
                "key": "night-porter",
                "session_id": 977,
            },
            {
                "kind": "unreadable-tag",
                "message": "the tag is cut off; the session is left alone",
                "key": None,
                "session_id": 990,
            },
            {
                "kind": "same-name",
                "message": "an unmanaged session has this name too: adopt it with `reconciler adopt archivist=991`?",
                "key": "archivist",
                "session_id": 991,
            },
            {
                "kind": "maybe-renamed",
                "message": "old-clerk goes and archivist comes with nearly the same prompt",
            },
        ],
        refusals=[
            {
                "guard": "max_deletes",
                "message": "2 deletes, and the policy allows 1",
                "allow": "--max-deletes=2",
            },
            {"guard": "prevent_destroy", "message": "bob is protected", "allow": "--allow-destroy=bob"},
        ],
    )


def preamble_plan(sessions: int = 312) -> dict[str, Any]:
    """So many sessions, each with a prompt of its own under a preamble that changed in two lines."""
    before = PREAMBLE.format(rule="Recommend at most three books.\nWrap gifts on demand.")
    after = PREAMBLE.format(rule="Recommend one book.\nWrap every gift.")
    return plan(
        *(
            action(
                "update",
                f"persona-{n}",
                n,
                f"Persona {n}",
                "changed in git",
                change("prompt", f"{before}{own}", f"{after}{own}"),
                unchanged=n % 7,
            )
            for n in range(1, sessions + 1)
            for own in [f"Number {n} is who you are.\n\n" + "You know much.\n" * (n % 5) + "Goodbye."]
        )
    )
