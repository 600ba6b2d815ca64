"""Writes everything in README.md and docs/ that is generated: figures, tables, parameters, layers of networks.

    python -m docgen.fill                      # all of it
    python -m docgen.fill --only value table   # results alone: no PyTorch needed
    python -m docgen.fill --check              # changes nothing; fails where a page is out of date

A page says what belongs where by a pair of HTML comments, which readers don't see::

    ... an F1 of <!--= value dance.motion.ours.f1 .2f -->1.00<!--=--> ...

    <!--= table dance_motion -->
    <!--=-->

The text between the two is replaced. An opening marker alone on its line makes a block with empty lines around it.
"""

import argparse
import re
import sys
from collections.abc import Callable, Collection
from pathlib import Path

from docgen import ROOT, pages

MARKER = re.compile(r"<!--= (?P<kind>\w+) (?P<arguments>[^\n]*?) -->(?P<content>.*?)<!--=-->", re.DOTALL)
OPENING = re.compile(r"<!--= ")


class PageError(Exception):
    """A marker that can't be filled; the message names page and line."""


def _value(*arguments: str) -> str:
    from docgen.results import value

    return value(*arguments)


def _table(*arguments: str) -> str:
    from docgen.results import table

    return table(*arguments)


def _parameters(*arguments: str) -> str:
    from docgen.parameters import parameters

    return parameters(*arguments)


def _network(*arguments: str) -> str:
    from docgen.networks import network

    return network(*arguments)


#: What a marker may ask for. Imported when needed: `network` loads PyTorch.
KINDS: dict[str, Callable[..., str]] = {
    "value": _value,
    "table": _table,
    "parameters": _parameters,
    "network": _network,
}


def filled(text: str, name: str, only: Collection[str] = tuple(KINDS)) -> str:
    """The text of a page with its markers filled.

    Args:
        text: of the page.
        name: of the page, for errors.
        only: kinds of markers to fill; others stay as they are.

    Raises:
        PageError: a marker is not closed, of an unknown kind, asks for something that isn't there, or stands inline
            at the beginning of a line, where Markdown takes the line for HTML.
    """

    def line(position: int) -> int:
        return text.count("\n", 0, position) + 1

    def fill(match: re.Match[str]) -> str:
        kind, arguments = match["kind"], match["arguments"].split()
        opening, content = f"<!--= {kind} {match['arguments']} -->", match["content"]
        starts = match.start() == 0 or text[match.start() - 1] == "\n"
        block = content.startswith("\n")
        if starts != block:
            raise PageError(f"{name}:{line(match.start())}: a block's marker stands alone, any other within a line")
        if kind not in KINDS:
            raise PageError(f"{name}:{line(match.start())}: unknown marker {kind}; known: {', '.join(KINDS)}")
        if kind in only:
            try:
                content = KINDS[kind](*arguments)
            except (KeyError, TypeError, ValueError) as error:
                reason = error.args[0] if error.args else error
                raise PageError(f"{name}:{line(match.start())}: {kind} {match['arguments']}: {reason}") from error
            content = f"\n\n{content.strip()}\n\n" if block else content
        return f"{opening}{content}<!--=-->"

    covered = [match.span() for match in MARKER.finditer(text)]
    for opening in OPENING.finditer(text):
        if sum(start <= opening.start() < stop for start, stop in covered) != 1 or (
            opening.start() not in {start for start, _ in covered}
        ):
            raise PageError(f"{name}:{line(opening.start())}: a marker that isn't closed by <!--=-->")
    return MARKER.sub(fill, text)


def stale(root: Path = ROOT, only: Collection[str] = tuple(KINDS)) -> list[str]:
    """Pages whose generated parts are out of date, with the first line that differs."""
    found = []
    for page in pages(root):
        now, name = page.read_text(encoding="utf-8"), str(page.relative_to(root))
        for old, new in zip(now.splitlines(), filled(now, name, only).splitlines(), strict=False):
            if old != new:
                found.append(f"{name}: {old.strip()!r} should be {new.strip()!r}")
                break
    return found


def main() -> None:
    """Fill the pages, or check that they are up to date."""
    parser = argparse.ArgumentParser(prog="python -m docgen.fill", description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=list(KINDS), default=list(KINDS), help="kinds of markers")
    parser.add_argument("--check", action="store_true", help="change nothing, fail where a page is out of date")
    options = parser.parse_args()
    try:
        if options.check:
            if out_of_date := stale(only=options.only):
                sys.exit("\n".join([*out_of_date, "run: python -m docgen.fill"]))
            return
        for page in pages():
            now = page.read_text(encoding="utf-8")
            new = filled(now, str(page.relative_to(ROOT)), options.only)
            if new != now:
                page.write_text(new, encoding="utf-8")
                print(f"{page.relative_to(ROOT)}: written")
    except PageError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
