"""What is wanted: a folder with a ``catalog.yaml`` becomes a :class:`reconciler.domain.Catalog`.

The format is described for its users in ``docs/catalog.md`` and, field by field, in ``schemas/catalog.schema.json``
and ``schemas/manifest.schema.json``. One idea a file: ``files`` reads below one folder and nowhere else,
``strict_yaml`` makes a document of a text, ``check`` words what does not fit the schema, ``places`` finds the
line that a problem stands in, and ``load`` puts the documents together.
"""

from reconciler.catalog.load import catalog_name, environments, load_catalog

__all__ = ["catalog_name", "environments", "load_catalog"]
