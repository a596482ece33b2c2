"""Exports live sessions as a catalog: to adopt existing sessions, or to recover a lost catalog.

``select`` selects the sessions, ``keys`` gives them keys, ``compose`` composes the files; none of these does I/O.
``write`` writes the files to a folder, and checks that they load as what is live.
"""

from reconciler.export.compose import Layout, compose_catalog
from reconciler.export.keys import key_from_name, make_keys
from reconciler.export.select import Exported, Only, Selection, live_environments, select_sessions
from reconciler.export.write import check_folder, write_catalog

__all__ = [
    "Exported",
    "Layout",
    "Only",
    "Selection",
    "check_folder",
    "compose_catalog",
    "key_from_name",
    "live_environments",
    "make_keys",
    "select_sessions",
    "write_catalog",
]
