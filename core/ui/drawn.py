"""Figures that take a while to make, kept: of the same numbers, whoever looks and however often, each is made once."""

from collections.abc import Callable, Hashable
from dataclasses import fields
from functools import lru_cache

from core.analyses.tidy import Table
from core.figures.drawing import Drawing
from core.figures.view import View

_KEPT = 16  # some megabytes each, where there are hundreds of clips


def drawn(make: Callable[..., Drawing], view: View, *arguments: Hashable) -> Drawing:
    """`make(view, *arguments)`; nobody may change the figure. Tables count as the same only where they are the same
    objects, as those of a study are that came no further."""
    tables = tuple((group, name, table) for group, of in view.tables.items() for name, table in of.items())
    rest = tuple((one.name, getattr(view, one.name)) for one in fields(view) if one.name != "tables")
    return _made(make, tables, rest, arguments)


@lru_cache(maxsize=_KEPT)
def _made(
    make: Callable[..., Drawing],
    tables: tuple[tuple[str, str, Table], ...],
    rest: tuple[tuple[str, Hashable], ...],
    arguments: tuple[Hashable, ...],
) -> Drawing:
    groups: dict[str, dict[str, Table]] = {}
    for group, name, table in tables:
        groups.setdefault(group, {})[name] = table
    return make(View(tables=groups, **dict(rest)), *arguments)  # type: ignore[arg-type]  # a view's own fields
