"""Write `docs/flags.md` from the parsers of the commands and the help of `run_local.sh`.

python -m docs.generate_flags
"""

from __future__ import annotations

import argparse
import importlib
import re
from collections.abc import Iterator
from pathlib import Path

from beam_jobs.__main__ import COMMANDS
from model.cli import FlagParser

TOP = Path(__file__).parents[1]
PAGE = TOP / "docs" / "flags.md"

HEAD = """\
<!-- Made by `python -m docs.generate_flags`. Do not edit: change the help in the parser, then run that again. -->
# Flags

Each command also shows its flags itself: `nightrank COMMAND --help`. `python -m model.train` is the same command as
`nightrank train`; the name of the module stands beside each command.

Flags have underscores, as Beam's have. They cannot be shortened.

## ./run_local.sh

```text
{usage}
```
"""


def page() -> str:
    """The whole page."""
    parts = [HEAD.format(usage=usage_of((TOP / "run_local.sh").read_text(encoding="utf-8")))]
    parts += (section(name, command.module) for name, command in COMMANDS.items())
    return "\n".join(parts)


def usage_of(script: str) -> str:
    """The help text in a shell script, from `cat <<'END'` to `END`."""
    return re.search(r"^ *cat <<'END'\n(.*?)\nEND$", script, re.MULTILINE | re.DOTALL)[1]


def parser_of(module: str) -> FlagParser:
    """The parser of the command in a module."""
    return importlib.import_module(module).build_parser()


def section(name: str, module: str) -> str:
    """Heading, description, example and flags of one command."""
    parser = parser_of(module)
    lines = [f"## nightrank {name}", "", f"{parser.description} Module: `{module.removesuffix('.__main__')}`.", ""]
    if example := _example(parser):
        lines += ["```text", example, "```", ""]
    lines += ["| flag | default | meaning |", "|---|---|---|", *_rows(parser), ""]
    passed_on = re.search(r"^Any other flag goes to .*$", parser.epilog or "", re.MULTILINE)
    return "\n".join([*lines, passed_on[0], ""] if passed_on else lines)


def _example(parser: FlagParser) -> str:
    found = re.search(r"^example:\n(.*?)(?:\n\n|\Z)", parser.epilog or "", re.MULTILINE | re.DOTALL)
    return re.sub("^  ", "", found[1].rstrip(), flags=re.MULTILINE) if found else ""


def _rows(parser: FlagParser) -> Iterator[str]:
    for action in parser._actions:
        if action.dest == "help":
            continue
        name = " ".join(f"`{flag}`" for flag in action.option_strings) or f"`{(action.metavar or action.dest).upper()}`"
        help_text = parser._get_formatter()._expand_help(action) if action.help else ""
        meaning = re.sub(r" \(default: [^()]*\)$", "", help_text).replace("|", r"\|")
        if action.choices:
            meaning += f"; one of {', '.join(f'`{choice}`' for choice in action.choices)}"
        yield f"| {name} | {_default(action)} | {meaning} |"


def _default(action: argparse.Action) -> str:
    if action.required:
        return "required"
    if action.nargs == 0:
        return "on" if action.default and action.const else ""
    if action.default in (None, "", argparse.SUPPRESS) or action.default == []:
        return ""
    return f"`{action.default}`"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
