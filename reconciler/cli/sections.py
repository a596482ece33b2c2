"""Help in sections: the flags that people use first under "Options", the rest under headings of their own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


class SectionOption(click.Option):
    """An option that :class:`SectionedCommand` lists under the heading ``section``."""

    def __init__(self, *args: Any, section: str = "", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.section = section


def option_in(section: str) -> Callable[..., Callable[[F], F]]:
    """``click.option`` for the options of one section."""

    def option(*declarations: str, **attributes: Any) -> Callable[[F], F]:
        return click.option(*declarations, cls=SectionOption, section=section, **attributes)

    return option


class SectionedCommand(click.Command):
    """A command whose help puts options under the headings that they name, in the order in which they come."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        sections: dict[str, list[tuple[str, str]]] = {"": []}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record is not None and isinstance(param, click.Option):
                sections.setdefault(getattr(param, "section", ""), []).append(record)
        for title, records in sections.items():
            with formatter.section(title or "Options"):
                formatter.write_dl(records)
