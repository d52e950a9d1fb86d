"""An option that takes one value is given once: what was typed before is not dropped without a word."""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperCommand


class Once:
    """Stands before a class of Typer's, whose parser it takes: refuses such an option that is given again, and names it."""

    def make_parser(self, ctx: Any) -> Any:
        """Typer's parser, which tells in which order options were met."""
        parser = super().make_parser(ctx)  # type: ignore[misc]
        parse = parser.parse_args

        def parse_args(args: list[str]) -> Any:
            found = parse(args)
            if not ctx.resilient_parsing:  # of a line that is still being typed
                _refuse_again(found[2])
            return found

        parser.parse_args = parse_args
        return parser


class OnceCommand(Once, TyperCommand):
    """A command of which that holds."""


def _refuse_again(met: list[Any]) -> None:
    for number, one in enumerate(met):
        single = one.param_type_name == "option" and not (one.multiple or one.is_flag or one.count)
        if single and one in met[:number]:
            raise typer.BadParameter("it is given twice, and takes one value.", param_hint=one.opts[0])
