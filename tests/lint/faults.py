"""A catalog with a fault for each rule. ``said.txt`` has the whole output about it.

Keys that look real are put together here from pieces, so that no scanner of this repository takes them for some.
"""

from __future__ import annotations

from typing import Final

LONG: Final = (
    "You keep the lighthouse at the end of the pier. Ships ask you for the weather, and you answer in the old way, "
    "the wind first, then the swell, then what the gulls are doing. You never guess. When the fog is in, you say so, "
    "and you ring."
)
KEY: Final = "sk-" + "9fQ2mXv7LrT4bNc8ZkWd3HsYp6Ga"
TOKEN: Final = "ghp_" + "a8Fk2Lq9Zx4Vb7Nm1Wc6Rt3Yp5Hs0Jd8Ge2U"

#: By path. Sessions of one file per subject.
FAULTS: Final = {
    "catalog.yaml": "version: 1\ncatalog: shop\ndefaults: {model: deepseek-chat}\n",
    "sessions/a-prompts.yaml": f"""\
sessions:
  blank:
    name: Blank
    prompt: "  \\n "
  first:
    name: First
    prompt: Be kind.
  second:
    name: Second
    prompt: Be kind.
  keeper:
    name: Keeper
    prompt: {LONG}
  night-keeper:
    name: Night Keeper
    prompt: {LONG} And then you wait.
""",
    "sessions/b-texts.yaml": f"""\
sessions:
  notes:
    name: Notes
    prompt: |
      You are kind.
      TODO: say more about the shop
      A blank at the end, and one more:\x20
      The second:\x20
      Answer in <INSERT LANGUAGE>.
  keys:
    name: Keys
    prompt: {{file: prompts/keys.md}}
    data: {{token: {TOKEN}}}
  hidden:
    name: Hid\u200bden
    prompt: "Say \\"hi\\",\u202e and [YOUR NAME]."
  mixed:
    name: P\u0430ypal
    prompt: Pay.
""",
    "prompts/keys.md": f"Call the till.\n\nIts key is {KEY}, and it is open.\n",
    "sessions/c-models.yaml": """\
sessions:
  typo:
    name: Typo
    model: deepseek-chatt
    prompt: Be brief.
  alien:
    name: Alien
    model: zzz
    prompt: Be long.
  hot:
    name: Hot
    model: claude-sonnet-4-5
    prompt: Be warm.
    parameters: {temperature: 1.5}
  long:
    name: Long
    model: moonshot-v1-8k
    prompt: {file: prompts/long.md}
""",
    "prompts/long.md": "书" * 14_000 + "\n",
    "sessions/d-comments.yaml": """\
sessions:
  # reconciler: ignore todo
  one:
    name: One
    prompt: Eins.
  # reconciler: ignore tood -- it is for the intern
  two:
    name: Two
    prompt: Zwei.
  # reconciler: ignore -- nobody knows
  three:
    name: Three
    prompt: Drei.
  four:  # reconciler: ignore todo -- there was one
    name: Four
    prompt: Vier.
""",
    "sessions/e-slips.yaml": """\
sessions:
  path:
    name: Path
    prompt: prompts/long.md
  cut:
    name: Cut #1
    prompt: Answer in issue #1 style
  wide:
    name: Wide
      model：gpt-4o
    prompt: Be wide.
  merged:
    name: Merged
    prompt: {file: prompts/merged.md}
  fetched:
    name: "Not\\tfetched"
    prompt: {file: prompts/large.md}
  folded:
    name: Folded
    prompt: >
      Rules:
      - be kind
      - be brief
  saved:
    name: Saved
    prompt: "Save it to C:\\temp."
""",
    "prompts/large.md": "version https://git-lfs.github.com/spec/v1\n"
    f"oid sha256:{'0123456789abcdef' * 4}\nsize 12345\n",
    "prompts/merged.md": "Be one.\n<<<<<<< HEAD\nBe two.\n=======\nBe three.\n>>>>>>> main\n",
}
