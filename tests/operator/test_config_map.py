"""The files of a ConfigMap, and when it is read. Needs no cluster."""

from __future__ import annotations

import base64
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.controller.sources import NoCatalogError
from reconciler.errors import ReconcilerError, UsageError
from reconciler.operator.cluster import ClusterError
from reconciler.operator.config_map import ConfigMapSource, checked_items, files_of
from reconciler.operator.git_secret import read_credentials
from reconciler.operator.inputs import Input, Inputs, named_by

SHOP = Input("configmaps", "team", "shop")
HEAD = {"key": "catalog.yaml", "path": "catalog.yaml"}

RIGHT_PATHS = ("catalog.yaml", "sessions/all.yaml", "夜/班 小.md", "a..b", "a/-b", "a/b/c/d")
WRONG_PATHS = (
    "",
    "/etc/passwd",
    "..",
    "../a",
    "a/../../b",
    "a/..",
    "./a",
    "a//b",
    "a/",
    ".git/config",
    "a/.hidden",
    "a\nb",
    "a\0b",
)

_PATHS = st.sampled_from(
    ["a", "b", "a/b", "a/b/c", "a/c", "../a", "a/../../b", ".x", "/a", "a//b", "catalog.yaml"]
)
_ITEMS = st.lists(st.tuples(st.sampled_from("abc"), _PATHS), max_size=3)


def test_paths_below_the_folder() -> None:
    assert checked_items([{"key": "a", "path": path} for path in RIGHT_PATHS]) == dict.fromkeys(
        RIGHT_PATHS, "a"
    )


@pytest.mark.parametrize("path", WRONG_PATHS)
def test_paths_that_are_hidden_or_lead_elsewhere(path: str) -> None:
    with pytest.raises(UsageError, match=r"hidden, or not below the catalog's folder"):
        checked_items([HEAD, {"key": "a", "path": path}])


@pytest.mark.parametrize(
    ("paths", "message"),
    [
        (["catalog.yaml", "catalog.yaml"], "`source.configMapRef.items` has the path 'catalog.yaml' twice"),
        (["catalog.yaml", "a/b/c", "a"], "`source.configMapRef.items` has 'a' as a file and as a folder"),
        (["sessions/all.yaml"], "`source.configMapRef.items` has no item with the path catalog.yaml"),
    ],
)
def test_items_that_are_no_catalog(paths: list[str], message: str) -> None:
    with pytest.raises(UsageError) as raised:
        checked_items([{"key": "a", "path": path} for path in paths])
    assert raised.value.problems[0].message == message


@given(_ITEMS, st.binary(max_size=5), st.booleans())
def test_what_is_accepted_can_be_kept_as_files_of_one_folder(
    more: list[tuple[str, str]], value: bytes, complete: bool
) -> None:
    """Files below the folder, none in place of another one or of a folder, each with the bytes of its key."""
    given = [("a", "catalog.yaml"), *more]
    data = {"a": value, "b": b"b"} | ({"c": b"c"} if complete else {})
    body = {"binaryData": {key: base64.b64encode(one).decode() for key, one in data.items()}}
    try:
        files = files_of(SHOP, body, checked_items([{"key": key, "path": path} for key, path in given]))
    except ReconcilerError:
        return
    assert sorted(files) == sorted(path for _, path in given)
    for key, path in given:
        parts = PurePosixPath(path).parts
        assert files[path] == data[key]
        assert not any(part.startswith((".", "/")) for part in parts)
        assert "/".join(parts) == path
        assert not any("/".join(parts[:end]) in files for end in range(1, len(parts)))


@pytest.mark.parametrize(
    ("body", "items", "message"),
    [
        (None, None, "there is no ConfigMap team/shop"),
        ({}, None, "the ConfigMap team/shop is empty"),
        ({"data": {}, "binaryData": {}}, None, "the ConfigMap team/shop is empty"),
        ({"data": {"all.yaml": ""}}, None, "the ConfigMap team/shop has no key catalog.yaml"),
        (
            {"data": {"catalog.yaml": "", ".env": ""}},
            None,
            "the ConfigMap team/shop has the key .env: a catalog reads no hidden files",
        ),
        (
            {"data": {"catalog.yaml": ""}},
            {"catalog.yaml": "catalog.yaml", "a": "b"},
            "the ConfigMap team/shop has no key b, which `items` names",
        ),
    ],
)
def test_what_is_no_whole_catalog(body: Any, items: dict[str, str] | None, message: str) -> None:
    with pytest.raises(NoCatalogError) as raised:
        files_of(SHOP, body, items)
    assert raised.value.problems[0].message == message
    assert raised.value.problems[0].hint


class Api:
    """What the API has: objects by path. ``gets`` counts."""

    def __init__(self) -> None:
        self.there: dict[str, dict[str, Any]] = {}
        self.gets = 0

    def __call__(self, path: str) -> dict[str, Any]:
        self.gets += 1
        if path not in self.there:
            raise ClusterError(404, "not found")
        return self.there[path]

    def put(self, version: str, **data: str) -> dict[str, Any]:
        meta = {"namespace": "team", "name": "shop", "resourceVersion": version}
        coded = {key.replace("_", "."): text for key, text in data.items()}
        self.there["/api/v1/namespaces/team/configmaps/shop"] = {"metadata": meta, "data": coded}
        return {"metadata": meta}


class TestReading:
    """A ConfigMap is read when it changed, and when it was not read for a while."""

    @pytest.fixture
    def api(self) -> Api:
        return Api()

    @pytest.fixture
    def inputs(self, api: Api) -> Inputs:
        found = Inputs(api)
        found.use("1", [SHOP])
        return found

    def test_it_is_read_when_it_changed(self, api: Api, inputs: Inputs, tmp_path: Path) -> None:
        source = ConfigMapSource(SHOP, None, tmp_path, inputs, clock=lambda: 0)
        event = api.put("1", catalog_yaml="a")
        first = source.newest()
        assert inputs.changed("configmaps", event, gone=False) == frozenset()  # that is what was read
        assert source.newest() == first
        assert (source.folder(first) / "catalog.yaml").read_text() == "a"
        assert api.gets == 1
        event = api.put("2", catalog_yaml="b")
        assert source.newest() == first  # nobody said anything
        assert inputs.changed("configmaps", event, gone=False) == {"1"}
        second = source.newest()
        assert (source.folder(second) / "catalog.yaml").read_text() == "b"
        assert (source.folder(first) / "catalog.yaml").read_text() == "a"
        assert api.gets == 2
        source.retain([second])
        with pytest.raises(ReconcilerError, match="no longer has the revision"):
            source.folder(first)

    @pytest.mark.parametrize("by", ["time", "annotation"])
    def test_a_deletion_that_the_watch_missed_is_noticed(
        self, api: Api, inputs: Inputs, tmp_path: Path, by: str
    ) -> None:
        now = [0.0]
        source = ConfigMapSource(SHOP, None, tmp_path, inputs, clock=lambda: now[0])
        api.put("1", catalog_yaml="a")
        source.newest()
        api.there.clear()
        source.newest()
        now[0] = 1000 if by == "time" else 1
        if by == "annotation":
            inputs.forget("1")
        with pytest.raises(NoCatalogError, match="there is no ConfigMap team/shop"):
            source.newest()

    def test_what_changes_while_it_is_read_is_read_again(
        self, api: Api, inputs: Inputs, tmp_path: Path
    ) -> None:
        """The watch is ahead of an answer that is on its way."""
        api.put("1", catalog_yaml="a")

        def slow(path: str) -> dict[str, Any]:
            answer = api(path)
            inputs.changed("configmaps", api.put("2", catalog_yaml="b"), gone=False)
            return answer

        late = Inputs(slow)
        late.use("1", [SHOP])
        inputs = late
        source = ConfigMapSource(SHOP, None, tmp_path, late, clock=lambda: 0)
        first = source.newest()
        assert source.newest() != first

    def test_only_what_a_resource_names_is_followed(self, api: Api, inputs: Inputs) -> None:
        event = api.put("1", catalog_yaml="a")
        assert inputs.changed("secrets", event, gone=False) == frozenset()
        inputs.use("2", [SHOP])
        assert inputs.changed("configmaps", event, gone=False) == {"1", "2"}
        assert inputs.changed("configmaps", event, gone=False) == frozenset()
        assert inputs.changed("configmaps", event, gone=True) == {"1", "2"}
        inputs.use("1", [])
        inputs.use("2", [])
        assert inputs.changed("configmaps", event, gone=False) == frozenset()
        assert inputs.version(SHOP) is None

    def test_a_cluster_that_does_not_answer_is_no_missing_config_map(
        self, inputs: Inputs, tmp_path: Path
    ) -> None:
        def down(path: str) -> dict[str, Any]:
            raise ClusterError(0, "no answer")

        source = ConfigMapSource(SHOP, None, tmp_path, Inputs(down))
        with pytest.raises(ClusterError):
            source.newest()


def test_what_a_source_reads_is_in_the_namespace_of_its_resource() -> None:
    assert named_by("team", {"configMapRef": {"name": "shop"}}) == {SHOP}
    assert named_by("team", {"git": {"url": "x", "secretRef": {"name": "git"}}}) == {
        Input("secrets", "team", "git")
    }
    assert named_by("team", {"git": {"url": "x"}}) == named_by("team", {"path": "a"}) == frozenset()


def test_a_secret_of_an_account_has_no_credentials_for_git_and_the_other_way_round() -> None:
    def coded(**data: str) -> dict[str, Any]:
        return {"data": {key: base64.b64encode(text.encode()).decode() for key, text in data.items()}}

    found = read_credentials("the Secret team/a", coded(endpoint="https://api.example.com", key="sk-1"))
    assert (found.url, found.username, found.password, found.identity) == ("", "", "", "")
    both = coded(
        endpoint="https://api.example.com", key="sk-1", url="https://git.example.com\n", password="t\n"
    )
    found = read_credentials("the Secret team/a", both)
    assert (found.url, found.password) == ("https://git.example.com", "t")
