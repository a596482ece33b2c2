"""Plans with a hostile text in every place for untrusted text."""

from __future__ import annotations

from typing import Any

from tests.hostile import HOSTILE
from tests.render.sample import action, change, gone, new, plan


def poisoned(bad: str) -> dict[str, Any]:
    """One text in every place of a plan: keys, names, paths, values, prompts, reasons, notes, refusals, catalog."""
    around = f"before\n{bad}\nafter"
    document = plan(
        action("delete", bad, 1, bad, bad, gone("prompt", bad)),
        action(
            "update",
            f"k{bad}",
            2,
            bad,
            bad,
            change("name", "plain", bad, "drift"),
            change("prompt", around, f"{bad}\nnew {bad}\n{around}", "conflict"),
            change(
                "parameters.stop", [bad], {bad: bad}, detail=[{"path": bad, "before": bad, "after": [bad]}]
            ),
            change(f"data.{bad}", bad, f"{bad} {bad}", "unknown"),
            new("data.new", bad),
            gone("remark.gone", bad, "released"),
            drift=True,
            unchanged=1,
        ),
        # Two with the same change, so that there is a group.
        *(
            action("update", f"{bad}{n}", n, bad, bad, change("prompt", f"a\nb\n{n}", f"{bad}\nb\n{n}"))
            for n in (3, 4)
        ),
        action(
            "create", f"c{bad}", None, bad, bad, new("name", bad), new("prompt", around), new("model", bad)
        ),
        action("adopt", f"a{bad}", 5, bad, bad, change("model", bad, "m")),
        action("move", f"m{bad}", 6, bad, bad, **{"from": bad}),
        action("forget", f"f{bad}", 7, bad, bad),
        catalog=bad,
        environment=bad,
        endpoint=bad,
        notes=[
            {"kind": bad, "message": bad, "key": bad, "session_id": 1},
            {"kind": "two-way", "message": f"{bad} {bad}", "key": None, "session_id": None},
        ],
        refusals=[{"guard": bad, "message": bad, "allow": bad}],
    )
    document["reconciler_version"] = bad
    document["tests"] = [
        *(poisoned_test(bad, result) for result in ("regressed", "not run", "improved", "same", "unsure")),
        {**poisoned_test(bad, "regressed"), "before": None},
    ]
    return document


def poisoned_test(bad: str, result: str) -> dict[str, Any]:
    """The result of a behaviour test with one text as key, name, answers and reasons."""
    problem = f"{bad} {bad}" if result == "not run" else ""
    answers = [
        {
            "sample": number,
            "text": "" if problem else text,
            "failures": [] if problem else [bad, f"it is not “{bad}”"],
            "problem": problem,
        }
        for number, text in ((1, bad), (2, f"before\n{bad}\nafter"))
    ]
    good = result in ("improved", "passed")
    side = {"passed": 0, "answered": 0 if problem else 2, "samples": 2, "needed": 2, "answers": answers}
    after, before = ({**side, "passed": passed} for passed in ((2, 0) if good else (0, 2)))
    return {"key": bad, "test": bad, "result": result, "after": after, "before": before}


NAMES = sorted(HOSTILE)
