"""Loading a catalog: from a folder to a :class:`~reconciler.domain.Catalog`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from reconciler.bulk import no_garbage_collection
from reconciler.catalog.budget import Budget
from reconciler.catalog.build import Builder
from reconciler.catalog.documents import CATALOG_FILE, mapping
from reconciler.catalog.files import Root, UnreadableError
from reconciler.catalog.loaded import Loaded
from reconciler.catalog.templating import Renderer
from reconciler.domain import Catalog, ServiceFacts
from reconciler.errors import CatalogError, Problem
from reconciler.ownership.key import KEY_RULE, is_key
from reconciler.schemas import load_schema
from reconciler.strict_yaml.encoding import decode
from reconciler.strict_yaml.read import parse
from reconciler.values import JSON


def load_catalog(
    root: str | Path, environment: str | None = None, variables: Mapping[str, JSON] | None = None
) -> Catalog:
    """Read a catalog, as ``docs/catalog.md`` and ``docs/composition.md`` describe it.

    Args:
        root: the folder that holds ``catalog.yaml``. Nothing outside of it is read.
        environment: which of the catalog's environments; None if it declares none.
        variables: values for templates in prompts. They override those in the catalog.

    Raises:
        CatalogError: with all problems, sorted by file and line.
    """
    return load(root, environment, variables).catalog


def load(
    root: str | Path | Root,
    environment: str | None = None,
    variables: Mapping[str, JSON] | None = None,
    budget: Budget | None = None,
) -> Loaded:
    """Read a catalog, with the origin of each value. The arguments are those of :func:`load_catalog`; environments
    that one command looks at share a ``budget``.

    Raises:
        CatalogError: with all problems, sorted by file and line.
    """
    folder = _checked(root, environment)
    budget = budget or Budget()
    with folder, no_garbage_collection(), Renderer(budget) as renderer:
        return Builder(folder, environment, variables or {}, renderer, budget).load()


def environments(root: str | Path) -> list[str]:
    """The names of the environments that a catalog declares, the first 100 if there are too many; none if it can't be
    read. Loading it reports why."""
    try:
        data = Root(Path(root)).read(CATALOG_FILE)
    except UnreadableError:
        return []
    text = decode(CATALOG_FILE, data)
    document = {} if isinstance(text, Problem) else parse(data, text).document
    most = load_schema("catalog")["properties"]["environments"]["maxProperties"]
    return [name for name in mapping(mapping(document).get("environments")) if is_key(name)][:most]


def catalog_name(root: str | Path, environment: str | None = None) -> str:
    """The name of a catalog that has this environment. Only catalog.yaml is read; other files may be invalid.

    Raises:
        CatalogError: that file can't be read, or has no such name or environment.
    """
    folder = _checked(root, environment)
    with folder, Renderer() as renderer:
        return Builder(folder, environment, {}, renderer).name()


def service_facts(
    root: str | Path, environment: str | None = None, unwritten: str = ""
) -> list[ServiceFacts]:
    """What a catalog says of its service in an environment; None stands for each that it declares. Only catalog.yaml
    and contracts are read, but for one that is ``unwritten`` so far.

    Raises:
        CatalogError: catalog.yaml or a contract can't be used.
    """
    folder = _checked(root, environment)
    with folder, Renderer() as renderer:
        return Builder(folder, environment, {}, renderer).services(unwritten)


def open_root(folder: str | Path) -> Root:
    """A catalog's folder.

    Raises:
        CatalogError: there is no such folder.
    """
    try:
        return Root(folder)
    except UnreadableError as error:
        raise CatalogError(Problem(f"{folder} {error.message}", error.hint)) from None


def _checked(root: str | Path | Root, environment: str | None) -> Root:
    if environment is not None and not is_key(environment):
        raise CatalogError(Problem(f"`{environment}` is not a valid environment name", KEY_RULE))
    return root if isinstance(root, Root) else open_root(root)
