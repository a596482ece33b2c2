"""Write the table of identities into ``docs/ownership.md``: ``python -m tests.identity``."""

from __future__ import annotations

from tests.identity.rows import ROWS, as_markdown
from tests.identity.test_rows import PAGE, table_of

page = PAGE.read_text(encoding="utf-8")
PAGE.write_text(page.replace(table_of(page), as_markdown(ROWS)), encoding="utf-8")
