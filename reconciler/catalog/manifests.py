"""Which files hold a catalog's sessions."""

from __future__ import annotations

from reconciler.catalog.files import Root
from reconciler.catalog.load import CATALOG_FILE, DEFAULT_INCLUDE
from reconciler.values import JSON


def manifest_names(folder: Root, head: JSON) -> list[str]:
    """The manifests of a catalog that loads, sorted; ``head`` is the document in its catalog.yaml.

    Raises:
        UnreadableError: a folder may not be read.
    """
    patterns = head.get("include", [DEFAULT_INCLUDE])
    return sorted({name for pattern in patterns for name in folder.expand(pattern)} - {CATALOG_FILE})
