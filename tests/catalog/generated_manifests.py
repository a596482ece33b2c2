"""Catalogs as people write them: fields in any order, in any style, with comments anywhere."""

from __future__ import annotations

import json
from collections.abc import Callable
from random import Random

PROMPTS = [
    "You are kind.",
    "You are kind.\n\nAnd brief.",
    "Eins\n  zwei\n\tdrei",
    "  starts with blanks\nends with some  \n\n",
    "{{char}} says ${name}: `x`\n```\n---\n# no comment\n```",
    "a: b\n- c\n'quoted' \"twice\" \\n",
    "\n\nfirst line is empty",
    "雨夜里，{{user}}\n进来躲雨。🐇",
    "trailing\u00a0\nno-break\u200b",
    "\ttab first\nand then",
]


def catalog(seed: int) -> dict[str, str]:
    """The manifests of a catalog."""
    draw = Random(seed)
    line_end = draw.choice(["\n", "\n", "\n", "\r\n"])
    files = {
        "catalog.yaml": "version: 1\ncatalog: shop\n" + defaults(draw),
        "sessions/a.yaml": manifest(draw, "a"),
        "sessions/b.yaml": manifest(draw, "b"),
    }
    return {name: ended(draw, text).replace("\n", line_end) for name, text in files.items()}


def ended(draw: Random, text: str) -> str:
    """A text with an end that somebody left it with."""
    kept = text.rstrip("\n")
    return draw.choice([text, text, text, kept, kept + "\n\n\n", kept + "\n  \n", kept + "\n# the end"])


def defaults(draw: Random) -> str:
    fields = ["  model: deepseek-chat\n", "  parameters: {temperature: 0.5}\n", "  data:\n    a: {b: 1}\n"]
    draw.shuffle(fields)
    return "defaults:\n" + "".join(comment(draw, 2) + field for field in fields)


def comment(draw: Random, column: int) -> str:
    """Nothing, a comment, blank lines, or some of each."""
    return "".join(
        draw.choice(
            [
                "",
                "",
                "",
                "",
                "\n",
                " " * column + "# why: & * {\n",
                " " * (column + 2) + "# deeper\n",
                "# at the left\n",
            ]
        )
        for _ in range(2)
    )


def manifest(draw: Random, prefix: str) -> str:
    text = draw.choice(["", "# who is in here\n", "\n", "---\n"]) + "sessions:\n"
    step = draw.choice([2, 2, 4])
    anchors: list[str] = []
    for number in range(draw.randint(1, 4)):
        text += comment(draw, step) + session(draw, f"{prefix}{number}", step, anchors)
    return text


def session(draw: Random, key: str, step: int, anchors: list[str]) -> str:
    if draw.random() < 0.1:
        text = json.dumps(draw.choice(PROMPTS), ensure_ascii=False)
        return f"{' ' * step}{key}: {{prompt: {text}, name: {key}}}{tail(draw)}\n"
    column = 2 * step
    pad = " " * column
    fields: list[str] = [f"{pad}name: {draw.choice([key, repr(key), json.dumps(key)])}{tail(draw)}\n"]
    name = f"{key}p"
    if anchors and draw.random() < 0.2:
        fields.append(f"{pad}prompt: *{draw.choice(anchors)}{tail(draw)}\n")
    else:
        anchor = draw.random() < 0.2
        fields.append(prompt(draw, pad, step, f"&{name} " if anchor else ""))
        if anchor:
            anchors.append(name)
    more: list[Callable[[], str]] = [
        lambda: f"{pad}model: gpt-4o{tail(draw)}\n",
        lambda: f"{pad}parameters:\n{pad}  temperature: 1{tail(draw)}\n{pad}  # max_tokens: 3\n",
        lambda: f"{pad}parameters: {{max_tokens: 5}}{tail(draw)}\n",
        lambda: f"{pad}data:\n{pad}- 1\n".replace("- 1", "  list:\n" + pad + "  - 1\n" + pad + "  - 'x'"),
        lambda: f"{pad}data: {{text: |-\n".replace("{text: |-", "") + f"{pad}  text: |+\n{pad}    kept\n\n",
        lambda: f"{pad}remark: {{a: '1'}}{tail(draw)}\n",
        lambda: f"{pad}? lifecycle\n{pad}: {{prevent_destroy: true}}\n",
        lambda: f'{pad}"lifecycle": {{ignore_changes: [data]}}{tail(draw)}\n',
    ]
    seen: set[str] = set()
    for make in draw.sample(more, draw.randint(0, 4)):
        field = make()
        word = field.strip(' ?"').split(":")[0].split("\n")[0].strip('"')
        if word not in seen:
            seen.add(word)
            fields.append(field)
    draw.shuffle(fields)
    head = f"{' ' * step}{key}:{tail(draw)}\n"
    return head + "".join(comment(draw, column) + field for field in fields)


def tail(draw: Random) -> str:
    """What stands behind a value."""
    return draw.choice(["", "", "", "", "  # so", "  ", "\t"])


def prompt(draw: Random, pad: str, step: int, anchor: str) -> str:
    text = draw.choice(PROMPTS)
    style = draw.choice(["json", "block", "fold", "plain", "single"])
    lines = text.split("\n")
    body = "".join(f"{pad}{' ' * step}{line}\n" if line else "\n" for line in lines)
    if style == "block":
        number = str(step) if (text.lstrip("\n")[:1] in " \t") else ""
        return f"{pad}prompt: {anchor}|{number}{draw.choice(['', '-', '+'])}\n{body}"
    if style == "fold" and not any(line[:1] in (" ", "\t") for line in lines if line):
        return f"{pad}prompt: {anchor}>{draw.choice(['', '-'])}\n{body}"
    if style == "plain":
        return f"{pad}prompt: {anchor}You are\n{pad}  kind\n\n{pad}  and brief{tail(draw)}\n"
    if style == "single":
        return f"{pad}prompt: {anchor}'You are\n\n{pad}  kind, it''s said'{tail(draw)}\n"
    return f"{pad}prompt: {anchor}{json.dumps(text, ensure_ascii=text.isascii())}{tail(draw)}\n"
