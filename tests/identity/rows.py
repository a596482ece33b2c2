"""Whose a session is, situation by situation: what a plan says of each, and what an apply leaves.

The test runs the commands over these rows, and the table in ``docs/ownership.md`` is made from them
(:func:`as_markdown`), so that neither says anything that the other does not.
"""

from __future__ import annotations

import html
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from reconciler.server import Quirks
from tests.identity.situations import (
    FIRST_ID,
    INTO_PRODUCTION,
    SECOND_ID,
    Given,
    adopted,
    adopting,
    adopting_a_strangers,
    another_team,
    another_team_and_environments,
    another_team_without_id,
    archive_of_another_account,
    copied,
    copied_and_gone,
    copied_young,
    copied_young_and_dropped,
    copied_young_and_renamed,
    copied_young_with_a_chat,
    damaged,
    deleted,
    deleted_created_and_damaged,
    deleted_unknown,
    first_of_staging,
    healed,
    keeping_nothing,
    one_of_three_copied,
    one_untagged,
    other_account,
    plan_for_another_account,
    renamed,
    renumbered,
    two,
    two_runs,
    two_runs_and_a_chat,
    uncountable,
    with_environments,
    without_journal,
    written_to_both,
)


@dataclass(frozen=True)
class Row:
    """One situation.

    ``says`` is everything that ``plan`` says in it. ``codes`` are the exit codes of ``plan``, ``drift`` and ``apply``,
    which run in this order; ``live`` is what is live after the apply. ``flags`` go to plan and apply.
    """

    about: str
    what: str
    given: Given
    says: tuple[str, ...]
    codes: tuple[int, ...]
    live: str
    flags: tuple[str, ...] = ()
    #: How the embedded server behaves, for what the second service never does; None runs the row on both.
    quirks: Quirks | None = None
    #: Whether the contract is the one that was shipped, which only assumes how the service writes.
    assumed: bool = False
    #: The command where it is another one than plan, drift and apply; ``says`` is what it prints to stderr then.
    command: str = ""
    #: Whether it is run on the second service by default, too.
    sample: bool = False


ROWS: Final = [
    Row(
        "A tag that did not survive",
        "the tag was truncated after 60 characters",
        damaged(lambda remark: remark[:60]),
        says=(
            "Refused [unreadable_tag] alice would be created, but #1 may be it: its tag can't be "
            "read (the remark is no JSON any more, so it was cut off or altered); what is left of "
            'it: "reconciler":{"catalog":"bookshop","key":"alice","base":"1n. To allow it: take it '
            "over: `reconciler adopt alice=1`; or, to create alice beside it, remove what is left of "
            "the tag from the remark of #1",
            "create alice: the tag of #1 was altered outside git (applied on DAY)",
            "[unreadable-tag] #1 the tag can't be read (the remark is no JSON any more, so it was "
            "cut off or altered): left alone",
        ),
        codes=(3, 2, 3),
        live="#1 unreadable",
        sample=True,
    ),
    Row(
        "A tag that did not survive",
        "the remark was truncated within the first word of the tag, and the name is the key's",
        damaged(lambda remark: remark[:8]),
        says=(
            "Refused [unreadable_tag] alice would be created, but #1 may be it: it has the same "
            'name, and its remark was cut off or altered; what is left of its tag: "reconc. To allow '
            "it: take it over: `reconciler adopt alice=1`; or, to create alice beside it, make the "
            "remark of #1 valid JSON, or empty",
            "create alice: the tag of #1 was removed outside git (applied on DAY)",
            "[tag-removed] alice #1 it is live without its tag, so apply would create a second one: "
            "`reconciler adopt alice=1` takes it over again, with its messages",
        ),
        codes=(3, 2, 3),
        live="#1 untagged",
    ),
    Row(
        "A tag that did not survive",
        "the tag was escaped for HTML",
        damaged(html.escape),
        says=(
            "Refused [unreadable_tag] alice would be created, but #1 may be it: its tag can't be "
            "read (the remark is no JSON any more, so it was cut off or altered); what is left of "
            "it: ;reconciler&quot;:{&quot;catalog&quot;:&quot;bookshop&quot;…. To allow it: take it "
            "over: `reconciler adopt alice=1`; or, to create alice beside it, remove what is left of "
            "the tag from the remark of #1",
            "create alice: the tag of #1 was altered outside git (applied on DAY)",
            "[unreadable-tag] #1 the tag can't be read (the remark is no JSON any more, so it was "
            "cut off or altered): left alone",
        ),
        codes=(3, 2, 3),
        live="#1 unreadable",
    ),
    Row(
        "A tag that did not survive",
        "the tag was altered",
        damaged(lambda remark: remark.replace("bookshop", "toyshop")),
        says=(
            "Refused [unreadable_tag] alice would be created, but #1 may be it: its tag can't be "
            "read (its check does not hold, so it was cut off or altered); what is left of it: "
            '"reconciler":{"catalog":"toyshop","key":"alice","base":"1nc…. To allow it: take it '
            "over: `reconciler adopt alice=1`; or, to create alice beside it, remove what is left of "
            "the tag from the remark of #1",
            "create alice: the tag of #1 was altered outside git (applied on DAY)",
            "[unreadable-tag] #1 the tag can't be read (its check does not hold, so it was cut off "
            "or altered): left alone",
        ),
        codes=(3, 2, 3),
        live="#1 unreadable",
    ),
    Row(
        "A tag that did not survive",
        "the tag was truncated, and the session is adopted by its id",
        damaged(lambda remark: remark[:60]),
        says=("",),
        codes=(0,),
        live="#1 bookshop/alice",
        command="adopt alice=1 --catalog shop --auto-approve --settle 0",
    ),
    Row(
        "A tag that did not survive",
        "the tag was truncated, and the session that was deleted before is restored",
        deleted_created_and_damaged,
        says=(
            "alice would be created, but #3 may be it: its tag can't be read (the remark is no JSON any more, so it "
            'was cut off or altered); what is left of it: "reconciler":{"catalog":"bookshop","key":"alice","base":"1n '
            "hint: take it over: `reconciler adopt alice=3`; or, to create alice beside it, remove what is left of the "
            "tag from the remark of #3",
        ),
        codes=(3,),
        live="#2 bookshop/bob, #3 unreadable",
        command="archive restore ARCHIVE shop --auto-approve --settle 0",
    ),
    Row(
        "A tag that did not survive",
        "the tag was truncated, a second session was created, and the tag is whole again",
        healed,
        says=(
            "delete alice #2: an empty double that this catalog's own run made; #1 stays",
            "[duplicate-identity] alice 2 live sessions have this identity: #1 (1 message), #2 (no "
            "messages); #1 stays",
        ),
        codes=(0, 2, 0),
        live="#1 bookshop/alice (1 message)",
    ),
    Row(
        "A tag that did not survive",
        "the service truncates every remark, and nothing was written to it yet",
        two,
        says=(
            "create alice: in the catalog, not live",
            "create bob: in the catalog, not live",
            "[canary] the contract's create call is not proven: the first is tried on one session, "
            "and the apply stops if the list shows anything else than it should. `reconciler doctor "
            "--probe --write=contract.yaml` proves them",
        ),
        codes=(0, 0, 4),
        live="#1 unreadable",
        quirks=Quirks(remark_limit=60, remark_over="cut"),
        assumed=True,
    ),
    Row(
        "Two teams with one name",
        "the session has this catalog's name and another id",
        lambda world: another_team(world, id=SECOND_ID),
        says=(
            "Refused [catalog_id] alice #1 is of another catalog called bookshop, with the id "
            "k3v9x2ab; the id of this one is zq81m0pd. To allow it: give this catalog another name; "
            'or, if they are its own, add to catalog.yaml: moved: [{from: "id:k3v9x2ab", to: '
            '"id:zq81m0pd"}]',
            "create alice: in the catalog, not live",
        ),
        codes=(3, 0, 3),
        live="#1 bookshop/alice",
        sample=True,
    ),
    Row(
        "Two teams with one name",
        "the session has this catalog's name and an id, and this catalog has none",
        another_team,
        says=(
            "Refused [catalog_id] alice #1 is of another catalog called bookshop, with the id "
            "k3v9x2ab; this one has no id. To allow it: give this catalog another name; or, if they "
            'are its own, add "id: k3v9x2ab" to catalog.yaml',
            "create alice: in the catalog, not live",
        ),
        codes=(3, 0, 3),
        live="#1 bookshop/alice",
    ),
    Row(
        "Two teams with one name",
        "the sessions have this catalog's name and no id, and this machine's journal never wrote them",
        another_team_without_id,
        says=(
            "delete carol #2: not in the catalog any more",
            "update alice #1: changed in git",
            "[not-in-journal] this machine's journal never wrote alice #1, carol #2, and nothing but "
            "the name bookshop says whose they are. If another catalog has that name, they may "
            "belong to that one: find that out before you apply. Ids tell the two apart from then on "
            "(`reconciler apply --write-id`)",
        ),
        codes=(0, 0, 0),
        live="#1 bookshop/alice",
    ),
    Row(
        "Two teams with one name",
        "`moved` names sessions of this catalog's name with another id",
        another_team_and_environments,
        says=(
            "Refused [catalog_id] alice #1 is of another catalog called bookshop, with the id "
            "k3v9x2ab; the id of this one is zq81m0pd. To allow it: give this catalog another name; "
            'or, if they are its own, add to catalog.yaml: moved: [{from: "id:k3v9x2ab", to: '
            '"id:zq81m0pd"}]',
            "create alice: in the catalog, not live",
        ),
        codes=(3, 0, 3),
        live="#1 bookshop/alice",
        flags=("--env", "production"),
    ),
    Row(
        "Two teams with one name",
        "the catalog's id was changed, and `moved` declares it",
        lambda world: another_team(
            world, id=SECOND_ID, moved=[{"from": f"id:{FIRST_ID}", "to": f"id:{SECOND_ID}"}]
        ),
        says=("move alice #1: has the catalog's former id, k3v9x2ab",),
        codes=(0, 0, 0),
        live="#1 bookshop/alice",
    ),
    Row(
        "Copies and doubles",
        "the session was copied, tag included",
        copied,
        says=("[copy] alice #2 a copy of #1, made outside git with that one's tag: left alone",),
        codes=(0, 2, 0),
        live="#1 bookshop/alice, #2 bookshop/alice",
        sample=True,
    ),
    Row(
        "Copies and doubles",
        "the session was copied, and is gone",
        copied_and_gone,
        says=(
            "Refused [allow_recreate] it would create 1 of the catalog's 1 session, and as many are "
            "live with tags that name sessions which are gone: were they copied, or did the service "
            "give them other numbers? To take them over: `reconciler adopt alice=2`. To allow it: "
            "--allow-recreate",
            "create alice: deleted outside git: it was #1, applied on DAY",
            "[copy] alice #2 a copy of #1, which is no longer managed here: left alone. To adopt it "
            'instead of creating alice, add "adopt: 2" to its manifest',
        ),
        codes=(3, 2, 3),
        live="#2 bookshop/alice",
    ),
    Row(
        "Copies and doubles",
        "the same, in a catalog of three sessions",
        one_of_three_copied,
        says=(
            "create alice: deleted outside git: it was #1, applied on DAY",
            "[copy] alice #4 a copy of #1, which is no longer managed here: left alone. To adopt it "
            'instead of creating alice, add "adopt: 4" to its manifest',
        ),
        codes=(0, 2, 0),
        live="#2 bookshop/bob, #3 bookshop/carol, #4 bookshop/alice, #5 bookshop/alice",
    ),
    Row(
        "Copies and doubles",
        "the service gave every session another number",
        renumbered,
        says=(
            "Refused [allow_recreate] it would create 2 of the catalog's 2 sessions, and as many are "
            "live with tags that name sessions which are gone: were they copied, or did the service "
            "give them other numbers? To take them over: `reconciler adopt alice=3 bob=4`. To allow "
            "it: --allow-recreate",
            "create alice: deleted outside git: it was #1, applied on DAY",
            "create bob: deleted outside git: it was #2, applied on DAY",
            "[copy] alice #3 a copy of #1, which is no longer managed here: left alone. To adopt it "
            'instead of creating alice, add "adopt: 3" to its manifest',
            "[copy] bob #4 a copy of #2, which is no longer managed here: left alone. To adopt it "
            'instead of creating bob, add "adopt: 4" to its manifest',
        ),
        codes=(3, 2, 3),
        live="#3 bookshop/alice (1 message), #4 bookshop/bob (1 message)",
    ),
    Row(
        "Copies and doubles",
        "the same, and they are taken over",
        renumbered,
        says=("",),
        codes=(0,),
        live="#3 bookshop/alice (1 message), #4 bookshop/bob (1 message)",
        command="adopt alice=3 bob=4 --catalog shop --auto-approve --settle 0",
    ),
    Row(
        "Copies and doubles",
        "the session was copied before its first update, so no tag tells the two apart, but the journal does",
        copied_young,
        says=(
            "[copy] alice #2 a copy of #1, made outside git with that one's tag (this machine's journal "
            "never wrote it): left alone",
        ),
        codes=(0, 2, 0),
        live="#1 bookshop/alice, #2 bookshop/alice",
    ),
    Row(
        "Copies and doubles",
        "the same, and the copy has a message and another name",
        copied_young_and_renamed,
        says=(
            "[copy] alice #2 a copy of #1, made outside git with that one's tag (this machine's journal "
            "never wrote it): left alone",
        ),
        codes=(0, 2, 0),
        live="#1 bookshop/alice, #2 bookshop/alice (1 message)",
        sample=True,
    ),
    Row(
        "Copies and doubles",
        "the same, and the session leaves the catalog",
        copied_young_and_dropped,
        says=(
            "delete alice #1: not in the catalog any more",
            "[copy] alice #2 a copy of #1, made outside git with that one's tag (this machine's journal "
            "never wrote it): left alone",
        ),
        codes=(0, 2, 0),
        live="#2 bookshop/alice (1 message), #3 bookshop/bob",
    ),
    Row(
        "Copies and doubles",
        "two sessions have one identity, and neither a tag nor a journal tells them apart",
        lambda world: without_journal(world, copied_young),
        says=(
            "delete alice #2: a second session with this identity; #1 stays",
            "[duplicate-identity] alice 2 live sessions have this identity: #1 (no messages), #2 (no "
            "messages); #1 stays",
            "[not-in-journal] this machine's journal never wrote alice #2, and nothing but the name "
            "bookshop says whose it is. If another catalog has that name, it may belong to that one: "
            "find that out before you apply. Ids tell the two apart from then on (`reconciler apply "
            "--write-id`)",
        ),
        codes=(0, 2, 0),
        live="#1 bookshop/alice",
    ),
    Row(
        "Copies and doubles",
        "the same, and one has messages",
        lambda world: without_journal(world, copied_young_with_a_chat),
        says=(
            "delete alice #1: a second session with this identity; #2 stays",
            "[duplicate-identity] alice 2 live sessions have this identity: #1 (no messages), #2 (1 "
            "message); #2 stays",
            "[not-in-journal] this machine's journal never wrote alice #1, and nothing but the name "
            "bookshop says whose it is. If another catalog has that name, it may belong to that one: "
            "find that out before you apply. Ids tell the two apart from then on (`reconciler apply "
            "--write-id`)",
        ),
        codes=(0, 2, 0),
        live="#2 bookshop/alice (1 message)",
    ),
    Row(
        "Copies and doubles",
        "the same, and the messages can't be counted",
        lambda world: without_journal(world, uncountable),
        says=(
            "[undecided-duplicate] alice 2 live sessions have this identity: #1, #2. It is not known "
            "how many messages each of them has, so all are left alone: plan again against the live "
            "list, or delete the ones that are not wanted",
        ),
        codes=(0, 2, 4),
        live="#1 bookshop/alice, #2 bookshop/alice",
        quirks=Quirks(),
    ),
    Row(
        "Copies and doubles",
        "an update of one session was written to another one, too",
        written_to_both,
        says=(
            "Refused [allow_recreate] it would create bob a second time: #2, which was applied as bob, "
            "is live with the tag of another session. To take it over again: `reconciler adopt bob=2`. "
            "To allow it: --allow-recreate",
            "create bob: the tag of #2 was altered outside git: it says bookshop/alice (applied on DAY)",
            "[copy] alice #2 a copy of #1, made outside git with that one's tag: left alone",
            "[tag-altered] bob #2 it is live with the tag of another session, so apply would create "
            "a second one: `reconciler adopt bob=2` takes it over again, with its messages",
        ),
        codes=(3, 2, 3),
        live="#1 bookshop/alice, #2 bookshop/alice (1 message)",
    ),
    Row(
        "Copies and doubles",
        "the same, and the other one is adopted by its id",
        written_to_both,
        says=("",),
        codes=(0,),
        live="#1 bookshop/alice, #2 bookshop/bob (1 message)",
        command="adopt bob=2 --catalog shop --auto-approve --settle 0",
    ),
    Row(
        "Two accounts",
        "the key is that of another account than last time",
        other_account,
        says=(
            "create alice: in the catalog, not live",
            "[other-account] the last apply of bookshop from here was for account 70, and this is "
            "account 71. Apply asks before it writes there",
        ),
        codes=(0, 0, 3),
        live="#1 bookshop/alice, #2 untagged",
        sample=True,
    ),
    Row(
        "Two accounts",
        "the first apply of an environment has the key of another one",
        first_of_staging,
        says=(
            "Refused [shared_account] staging has no session in this account, and production uses it "
            "(#1), so this may not be the API key of staging. If the environments are to share the "
            "account, add to catalog.yaml: policy: {shared_account: true}. To allow it: --shared-account",
            "create alice: in the catalog, not live",
        ),
        codes=(3, 0, 3),
        live="#1 bookshop@production/alice",
        flags=("--env", "staging"),
        sample=True,
    ),
    Row(
        "Two accounts",
        "the same, and the catalog says that its environments share one account",
        lambda world: first_of_staging(world, policy={"shared_account": True}),
        says=("create alice: in the catalog, not live",),
        codes=(0, 0, 0),
        live="#1 bookshop@production/alice, #2 bookshop@staging/alice",
        flags=("--env", "staging"),
    ),
    Row(
        "Two accounts",
        "a saved plan was made for another account",
        plan_for_another_account,
        says=(
            "the plan was made for account 70, and this is account 71 hint: use the key of that "
            "account, make the plan again with this key, or add --other-account to apply it here",
        ),
        codes=(3,),
        live="#1 bookshop/alice, #2 untagged",
        command="apply plan.json",
    ),
    Row(
        "Two accounts",
        "an archive is from another account",
        archive_of_another_account,
        says=(
            "ARCHIVE was archived for account 70, and this is account 71 hint: use the key of that "
            "account, or add --other-account to restore it into this one",
        ),
        codes=(3,),
        live="#2 untagged",
        command="archive restore ARCHIVE shop --auto-approve",
    ),
    Row(
        "What happened outside git",
        "the session was deleted",
        deleted,
        says=("create alice: deleted outside git: it was #1, applied on DAY",),
        codes=(0, 2, 0),
        live="#2 bookshop/alice",
        sample=True,
    ),
    Row(
        "What happened outside git",
        "the session was deleted, and there is no journal",
        deleted_unknown,
        says=("create alice: in the catalog, not live",),
        codes=(0, 0, 0),
        live="#2 bookshop/alice",
    ),
    Row(
        "What happened outside git",
        "the tag was removed",
        damaged(lambda remark: ""),
        says=(
            "Refused [allow_recreate] it would create alice a second time: #1, which was applied as "
            "alice, is live without its tag. To take it over again: `reconciler adopt alice=1`. To "
            "allow it: --allow-recreate",
            "create alice: the tag of #1 was removed outside git (applied on DAY)",
            "[tag-removed] alice #1 it is live without its tag, so apply would create a second one: "
            "`reconciler adopt alice=1` takes it over again, with its messages",
        ),
        codes=(3, 2, 3),
        live="#1 untagged",
    ),
    Row(
        "What happened outside git",
        "the tag was removed from one of two sessions",
        one_untagged,
        says=(
            "Refused [allow_recreate] it would create alice a second time: #1, which was applied as "
            "alice, is live without its tag. To take it over again: `reconciler adopt alice=1`. To "
            "allow it: --allow-recreate",
            "create alice: the tag of #1 was removed outside git (applied on DAY)",
            "[tag-removed] alice #1 it is live without its tag, so apply would create a second one: "
            "`reconciler adopt alice=1` takes it over again, with its messages",
        ),
        codes=(3, 2, 3),
        live="#1 untagged, #2 bookshop/bob",
    ),
    Row(
        "What happened outside git",
        "the same, and the create is allowed",
        one_untagged,
        says=("",),
        codes=(0,),
        live="#1 untagged, #2 bookshop/bob, #3 bookshop/alice",
        command="apply shop --allow-recreate --auto-approve --settle 0",
    ),
    Row(
        "What happened outside git",
        "the tag names another catalog now",
        damaged(lambda remark: '{"reconciler":{"catalog":"toyshop","key":"alice"}}'),
        says=(
            "Refused [allow_recreate] it would create 1 of the catalog's 1 session, and as many are "
            "live as toyshop: was the catalog or its environment renamed? To keep them, add to "
            'catalog.yaml: moved: [{from: "toyshop/alice", to: "alice"}]. To allow it: '
            "--allow-recreate",
            "create alice: the tag of #1 was altered outside git: it says toyshop/alice (applied on DAY)",
            "[maybe-moved] alice would be created, and #1 of toyshop has the same key or prompt. If "
            "this is the same under a new name, it keeps its id and messages with this entry in "
            'catalog.yaml: moved: [{from: "toyshop/alice", to: "alice"}], or run '
            "`reconciler mv toyshop/alice alice`",
        ),
        codes=(3, 2, 3),
        live="#1 toyshop/alice",
    ),
    Row(
        "A catalog with another name or environment",
        "the catalog was called old when it was applied",
        renamed,
        says=(
            "Refused [allow_recreate] it would create 2 of the catalog's 2 sessions, and as many are "
            "live as old: was the catalog or its environment renamed? To keep them, add to "
            'catalog.yaml: moved: [{from: "old/*", to: "*"}]. To allow it: --allow-recreate',
            "create alice: in the catalog, not live",
            "create bob: in the catalog, not live",
            "[maybe-moved] alice, bob would be created, and #1, #2 of old have the same keys or "
            "prompts. If this is the same under a new name, they keep their ids and messages with "
            'this entry in catalog.yaml: moved: [{from: "old/*", to: "*"}], or run '
            "`reconciler mv 'old/*' '*'`",
        ),
        codes=(3, 0, 3),
        live="#1 old/alice, #2 old/bob",
        sample=True,
    ),
    Row(
        "A catalog with another name or environment",
        "the same, and `moved` declares it",
        lambda world: renamed(world, moved=[{"from": "old/*", "to": "*"}]),
        says=(
            "move alice #1: was old/alice",
            "move bob #2: was old/bob",
        ),
        codes=(0, 0, 0),
        live="#1 bookshop/alice, #2 bookshop/bob",
    ),
    Row(
        "A catalog with another name or environment",
        "the catalog was given environments",
        with_environments,
        says=(
            "Refused [allow_recreate] it would create 2 of the catalog's 2 sessions, and as many are "
            "live as bookshop: was the catalog or its environment renamed? To keep them, if they are "
            'those of production, add to catalog.yaml: moved: [{from: "bookshop/*", to: '
            '"bookshop@production/*"}]. If they are those of staging, write that environment in it '
            "instead of production, and check the API key. To allow it: --allow-recreate",
            "create alice: in the catalog, not live",
            "create bob: in the catalog, not live",
            "[maybe-moved] alice, bob would be created, and #1, #2 of bookshop have the same keys or "
            "prompts. If they are those of production, they keep their ids and messages with "
            'this entry in catalog.yaml: moved: [{from: "bookshop/*", to: "bookshop@production/*"}], '
            "or run `reconciler mv 'bookshop/*' 'bookshop@production/*' --env=production`",
        ),
        codes=(3, 0, 3),
        live="#1 bookshop/alice, #2 bookshop/bob",
        flags=("--env", "production"),
    ),
    Row(
        "A catalog with another name or environment",
        "the same, and `moved` declares it",
        lambda world: with_environments(world, moved=INTO_PRODUCTION),
        says=(
            "move alice #1: was bookshop/alice",
            "move bob #2: was bookshop/bob",
        ),
        codes=(0, 0, 0),
        live="#1 bookshop@production/alice, #2 bookshop@production/bob",
        flags=("--env", "production"),
    ),
    Row(
        "A catalog with another name or environment",
        "the same, and another environment is applied first",
        lambda world: with_environments(world, moved=INTO_PRODUCTION),
        says=(
            "Refused [shared_account] staging has no session in this account, and another "
            "environment uses it (#1, #2), so this may not be the API key of staging. If the "
            "environments are to share the account, add to catalog.yaml: policy: {shared_account: "
            "true}. To allow it: --shared-account",
            "create alice: in the catalog, not live",
            "create bob: in the catalog, not live",
        ),
        codes=(3, 0, 3),
        live="#1 bookshop/alice, #2 bookshop/bob",
        flags=("--env", "staging"),
    ),
    Row(
        "A catalog with another name or environment",
        "the same, and the catalog says that its environments share one account",
        lambda world: with_environments(world, moved=INTO_PRODUCTION, policy={"shared_account": True}),
        says=(
            "create alice: in the catalog, not live",
            "create bob: in the catalog, not live",
        ),
        codes=(0, 0, 0),
        live="#1 bookshop/alice, #2 bookshop/bob, #3 bookshop@staging/alice, #4 bookshop@staging/bob",
        flags=("--env", "staging"),
    ),
    Row(
        "What a service does not keep",
        "the service drops a key of `data`, and an apply found out",
        keeping_nothing,
        says=(),
        codes=(0, 0, 0),
        live="#1 bookshop/alice",
        quirks=Quirks(drops_keys=frozenset({"mood"})),
    ),
    Row(
        "`adopt` lines",
        "an `adopt` line is done",
        adopted,
        says=("[adopted] `adopt: 1` of alice is done: remove with `reconciler adopt --tidy`",),
        codes=(0, 0, 0),
        live="#1 bookshop/alice, #2 bookshop/bob",
    ),
    Row(
        "`adopt` lines",
        "an `adopt` line names a session that is gone",
        lambda world: adopting(world, 99),
        says=(
            "create bob: in the catalog, not live",
            "[adopt-gone] alice #99 is to adopt #99, which is not live, so nothing is done about "
            "alice: remove its adopt line to create it, or correct the number",
        ),
        codes=(0, 0, 4),
        live="#1 bookshop/bob",
    ),
    Row(
        "`adopt` lines",
        "an `adopt` line names another catalog's session",
        adopting_a_strangers,
        says=(
            "Refused [adopt] alice is to adopt #1, which belongs to toyshop/ann. To allow it: remove "
            "the adopt entry of alice from the catalog, or correct the number",
            "create bob: in the catalog, not live",
        ),
        codes=(3, 0, 3),
        live="#1 toyshop/ann",
        sample=True,
    ),
    Row(
        "`adopt` lines",
        "an `adopt` line stands at a session in a catalog with environments",
        lambda world: adopting(world, 7, environments={"staging": {}}),
        says=(
            "sessions/all.yaml:5:5: every environment would adopt the same live session as `alice` 5 "
            "| adopt: 7 | ^ hint: move it to catalog.yaml: environments: {staging: {sessions: "
            "{alice: {adopt: 7}}}}",
        ),
        codes=(1,),
        live="",
        command="plan shop --env staging",
    ),
    Row(
        "Two applies at once",
        "two runs created the session, and the policy allows no delete",
        two_runs,
        says=(
            "delete alice #2: an empty double that this catalog's own run made; #1 stays",
            "[duplicate-identity] alice 2 live sessions have this identity: #1 (no messages), #2 (no "
            "messages); #1 stays",
        ),
        codes=(0, 2, 0),
        live="#1 bookshop/alice",
        sample=True,
    ),
    Row(
        "Two applies at once",
        "the same, and both have messages",
        two_runs_and_a_chat,
        says=(
            "Refused [max_deletes] it would delete 1 session, and the policy allows 0. To allow it: "
            "--max-deletes=1",
            "delete alice #2: a second session with this identity; #1 stays",
            "[duplicate-identity] alice 2 live sessions have this identity: #1 (1 message), #2 (1 "
            "message); #1 stays",
        ),
        codes=(3, 2, 3),
        live="#1 bookshop/alice (1 message), #2 bookshop/alice (1 message)",
    ),
]


def as_markdown(rows: Iterable[Row]) -> str:
    """The rows as Markdown: a table for each of the things that they are about."""
    parts = []
    for about, group in groupby(rows, lambda row: row.about):
        lines = [
            f"### {about}",
            "",
            "| situation | what `plan` says | exit codes | what is live then |",
            "| --- | --- | --- | --- |",
            *map(_line, group),
        ]
        parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"


def _line(row: Row) -> str:
    what = row.what
    if row.command:
        command = row.command.removesuffix(" --auto-approve --settle 0").removesuffix(" --auto-approve")
        what += f": `reconciler {command}`"
    says = "<br>".join(_code(text) for text in row.says if text) or "nothing"
    codes = " ".join(map(str, row.codes)) if row.command else "{} {} {}".format(*row.codes)
    return f"| {what} | {says} | {codes} | {row.live or 'nothing'} |"


def _code(text: str) -> str:
    """A text in backticks, in a cell of a table."""
    text = text.replace("|", "\\|")
    fence = "``" if "`" in text else "`"
    return f"{fence} {text} {fence}" if "`" in text else f"`{text}`"
