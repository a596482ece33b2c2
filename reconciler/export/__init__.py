"""Live sessions as a catalog: the way in for sessions that exist already, and back to a catalog that was lost.

``select`` says which sessions are exported, ``keys`` names them, ``compose`` writes the texts; none of these does any
I/O. ``write`` puts the texts into a folder, and sees that they load as what is live.
"""

from reconciler.export.compose import Layout, compose_catalog
from reconciler.export.keys import key_from_name, make_keys
from reconciler.export.select import Exported, Only, Selection, select_sessions
from reconciler.export.write import check_folder, write_catalog

__all__ = [
    "Exported",
    "Layout",
    "Only",
    "Selection",
    "check_folder",
    "compose_catalog",
    "key_from_name",
    "make_keys",
    "select_sessions",
    "write_catalog",
]
