"""A catalog's prompts and behaviour tests as a configuration for promptfoo.

``compose`` composes the files, ``pattern`` translates patterns. Neither does I/O. ``reconciler.cjs`` is copied beside
the configuration, and applies those rules that promptfoo has no counterpart for.
"""

from reconciler.promptfoo.compose import CONFIG, Composed, compose_promptfoo

__all__ = ["CONFIG", "Composed", "compose_promptfoo"]
