"""What the action and the image install is pinned: by version, by hash, and to exactly what the package needs."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import PackageNotFoundError, requires, version
from itertools import product
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
#: The extras that the image has.
IMAGE = ("operator", "s3")
FILES = {
    "runtime": PROJECT["project"]["dependencies"],
    "image": [
        *PROJECT["project"]["dependencies"],
        *(one for extra in IMAGE for one in PROJECT["project"]["optional-dependencies"][extra]),
    ],
    "build": PROJECT["build-system"]["requires"],
}
#: Where the action and the image run.
SYSTEMS = [
    {"python_version": python, "python_full_version": f"{python}.0", "sys_platform": system, "extra": ""}
    for python, system in product(["3.11", "3.12", "3.13", "3.14"], ["linux", "darwin"])
]


def pinned(name: str) -> dict[str, tuple[Requirement, list[str]]]:
    """Each requirement of a file, with its hashes, by name."""
    found = {}
    text = re.sub(r"^#.*\n", "", (ROOT / "requirements" / f"{name}.txt").read_text(), flags=re.MULTILINE)
    for line in text.replace("\\\n", " ").splitlines():
        requirement, *hashes = re.split(r"\s+--hash=", line.strip())
        one = Requirement(requirement)
        found[canonicalize_name(one.name)] = (one, hashes)
    return found


def needed(declared: list[str], versions: dict[str, str]) -> tuple[set[str], bool]:
    """The names of these requirements and of all that they require, and whether that is all of them: what a package
    requires is known if the version of it that is installed here is the one that is pinned."""
    found: set[str] = set()
    complete = True
    todo = [Requirement(one) for one in declared]
    while todo:
        one = todo.pop()
        name = canonicalize_name(one.name)
        if name in found or (one.marker and not any(one.marker.evaluate(system) for system in SYSTEMS)):
            continue
        found.add(name)
        try:
            if version(name) == versions.get(name):
                todo += map(Requirement, requires(name) or ())
            else:
                complete = False
        except PackageNotFoundError:
            complete = False
    return found, complete


@pytest.mark.parametrize("name", FILES)
def test_each_requirement_has_one_version_and_the_hashes_of_its_files(name: str) -> None:
    for requirement, hashes in pinned(name).values():
        assert re.fullmatch(r"==[0-9][\w.]*", str(requirement.specifier)), requirement
        assert hashes, requirement
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", one) for one in hashes), requirement


@pytest.mark.parametrize("name", FILES)
def test_a_pinned_version_is_one_that_the_project_allows(name: str) -> None:
    versions = {one: str(found.specifier)[2:] for one, (found, _) in pinned(name).items()}
    for one in map(Requirement, FILES[name]):
        assert one.specifier.contains(versions[canonicalize_name(one.name)]), one


@pytest.mark.parametrize("name", ["runtime", "image"])
def test_exactly_what_the_command_needs_is_pinned(name: str) -> None:
    versions = {one: str(found.specifier)[2:] for one, (found, _) in pinned(name).items()}
    found, complete = needed(FILES[name], versions)
    assert found <= versions.keys()
    assert not complete or found == versions.keys()


@pytest.mark.parametrize("name", FILES)
def test_no_address_is_in_the_files(name: str) -> None:
    text = (ROOT / "requirements" / f"{name}.txt").read_text()
    assert "://" not in text
    assert not re.search(r"^\s*-(?!-hash=)", text, re.MULTILINE)  # an option could name an index


def test_the_image_has_the_versions_of_the_action_and_its_extras() -> None:
    action, image = pinned("runtime"), pinned("image")
    assert {name: image[name][0].specifier for name in action} == {
        name: found.specifier for name, (found, _) in action.items()
    }
    assert "requirements/image.txt" in (ROOT / "Dockerfile").read_text()
    head = (ROOT / "requirements" / "image.txt").read_text().partition("\n")[0]
    assert all(f"`{extra}`" in head for extra in IMAGE)


def test_everything_that_installs_the_package_uses_the_pinned_files() -> None:
    for file in ("action.yml", "Dockerfile"):
        text = re.sub(r"\\\n", " ", (ROOT / file).read_text())
        installs = re.findall(r"pip (?:install|wheel)\b[^\n&]*", text)
        assert len(installs) >= 2, file
        for install in installs:
            from_index = "--require-hashes" in install and "requirements/" in install
            assert from_index != ("--no-index --no-deps" in install), install
    assert "--only-binary=:all:" in (ROOT / "action.yml").read_text()
    assert "PIP_ONLY_BINARY=:all:" in (ROOT / "Dockerfile").read_text()


def test_the_base_of_the_image_can_be_pinned_by_digest() -> None:
    text = (ROOT / "Dockerfile").read_text()
    assert re.findall(r"^ARG (.*)$", text, re.MULTILINE) == ["BASE=python:3.13-slim"]
    assert re.findall(r"^FROM (\S+)", text, re.MULTILINE) == ["${BASE}"] * 2
    assert "# syntax=" not in text  # would be fetched by its tag
