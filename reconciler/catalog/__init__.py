"""What is wanted: a folder with a ``catalog.yaml`` becomes a :class:`reconciler.domain.Catalog`.

``docs/catalog.md`` describes the format for its users; ``schemas/catalog.schema.json`` and
``schemas/manifest.schema.json`` define it field by field. In the order in which a file passes through the modules:
``files`` reads below one folder and nowhere else, ``documents`` decodes, parses and checks it (``check`` describes
what does not fit the schema), ``build`` makes sessions of it with ``defaults``, ``layers``, ``prompts`` and
``resolve``, and ``loaded`` is the result. ``load`` has the functions that others call.
"""

from reconciler.catalog.load import catalog_name, environments, load_catalog, service_facts

__all__ = ["catalog_name", "environments", "load_catalog", "service_facts"]
