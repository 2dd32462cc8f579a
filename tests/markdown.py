"""The pages of documentation, taken apart for the tests that hold them to the code."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path
from typing import NamedTuple

TOP = Path(__file__).parents[1]
README = TOP / "README.md"
SNIPPET_PAGES = (README, *sorted((TOP / "docs").glob("*.md")))
"""Whose snippets are run."""
PAGES = (*SNIPPET_PAGES, *(TOP / name for name in ("CONTRIBUTING.md", "CHANGELOG.md", "tests/benchmarks/README.md")))
"""Whose links are followed."""

_FENCE = re.compile(r"^```(\S*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")


class Block(NamedTuple):
    """A fenced block of a page."""

    page: str
    """Relative to the top of the checkout."""
    language: str
    text: str
    output: str | None
    """The `text` block that follows with nothing between, which is what the commands print."""

    @property
    def first_line(self) -> str:
        """By which a block is told from the others of its page."""
        return self.text.partition("\n")[0]

    @property
    def commands(self) -> list[str]:
        """The shell commands, each on one line."""
        return list(_commands(self.text))


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page, in order."""
    text = page.read_text(encoding="utf-8")
    found = list(_FENCE.finditer(text))
    name = str(page.relative_to(TOP))
    made = []
    for fence, following in zip_longest(found, found[1:]):
        adjacent = (
            following is not None and following[1] == "text" and not text[fence.end() : following.start()].strip()
        )
        output = following[2] if adjacent and following and fence[1] != "text" else None
        made.append(Block(name, fence[1], fence[2], output))
    return made


def all_blocks(*languages: str) -> list[Block]:
    """The blocks of all pages in one of these languages."""
    return [block for page in SNIPPET_PAGES for block in blocks(page) if block.language in languages]


def prose(page: Path) -> str:
    """A page without its fenced blocks and without code in its lines."""
    return re.sub(r"`[^`\n]+`", "", _FENCE.sub("", page.read_text(encoding="utf-8")))


def links(page: Path) -> list[str]:
    """Where the links and pictures of a page point."""
    return _LINK.findall(_FENCE.sub("", page.read_text(encoding="utf-8")))


def anchors(page: Path) -> set[str]:
    """What a link to a heading of the page may name, as GitHub makes it from the heading."""
    text = _FENCE.sub("", page.read_text(encoding="utf-8"))
    names: set[str] = set()
    for heading in re.findall(r"^#{1,6} +(.+?)\s*$", text, re.MULTILINE):
        plain = re.sub(r"[^\w\- ]", "", re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()).replace(" ", "-")
        repeated = sum(name == plain or re.fullmatch(re.escape(plain) + r"-\d+", name) is not None for name in names)
        names.add(f"{plain}-{repeated}" if repeated else plain)
    return names


def _commands(text: str) -> Iterator[str]:
    pending = ""
    for line in text.splitlines():
        pending += line
        if pending.endswith("\\"):
            pending = pending[:-1].rstrip() + " "
            continue
        try:
            words = shlex.split(pending, comments=True)
        except ValueError:  # a quotation goes on in the next line
            pending += " "
            continue
        if words:
            yield re.sub(r"\s+", " ", pending).strip()
        pending = ""
    assert not pending.strip(), f"a command does not end: {pending}"
