"""The HTML around what a model card says: page, sections, tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

STYLE = """
:root { color-scheme: light; }
body { margin: 0; background: #f4f5f7; color: #1f2937; font: 16px/1.55 system-ui, "Segoe UI", Roboto, sans-serif; }
main { max-width: 860px; margin: 0 auto; padding: 24px 16px 64px; }
header h1 { margin: 8px 0 2px; font-size: 28px; line-height: 1.2; overflow-wrap: anywhere; }
header p { margin: 0 0 16px; color: #4b5563; }
section { background: #fff; border: 1px solid #dfe3e8; border-radius: 8px; padding: 4px 20px 16px; margin: 16px 0; }
h2 { font-size: 20px; margin: 16px 0 4px; }
h3 { font-size: 16px; margin: 18px 0 4px; }
p, ul { margin: 8px 0; }
ul { padding-left: 22px; }
svg { display: block; width: 100%; max-width: 620px; height: auto; margin: 12px 0; }
.scroll { overflow-x: auto; margin: 12px 0; }
table { border-collapse: collapse; width: 100%; font-size: 14px; }
th, td { text-align: right; padding: 6px 10px; border-bottom: 1px solid #e6e9ed; vertical-align: top; }
th { font-weight: 600; color: #374151; background: #f8f9fa; }
td { font-variant-numeric: tabular-nums; white-space: pre; }
.words td { white-space: pre-line; overflow-wrap: anywhere; }
th:first-child, td:first-child, .words th, .words td { text-align: left; }
tr.ours td { font-weight: 600; background: #eef5fc; }
.note { color: #4b5563; font-size: 14px; }
.verdict { border-left: 6px solid #6b7280; }
.verdict.yes { border-left-color: #15803d; }
.verdict.no { border-left-color: #b91c1c; }
ol { margin: 0; padding-left: 20px; }
code { font-size: 13px; overflow-wrap: anywhere; }
@media (max-width: 600px) {
  main { padding: 16px 8px 48px; }
  section { padding: 4px 12px 12px; }
  header h1 { font-size: 23px; }
  svg { font-size: 16px; }
  table { font-size: 12px; }
  th, td { padding: 5px 5px; }
  td:first-child { white-space: normal; min-width: 84px; }
  .words td:first-child { min-width: 0; }
}
@media print { body { background: #fff; } section { break-inside: avoid; } }
"""


def page(title: str, subtitle: str, sections: Iterable[str]) -> str:
    """A whole page that refers to nothing outside itself. The titles are text, the sections HTML."""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n"
        f"<header><h1>{escape(title)}</h1><p>{escape(subtitle)}</p></header>\n"
        + "\n".join(sections)
        + "\n</main>\n</body>\n</html>\n"
    )


def section(heading: str, *content: str, kind: str = "") -> str:
    """A section of HTML `content` under a heading of text; `kind` is a class of the style."""
    return f'<section class="{kind}">\n<h2>{escape(heading)}</h2>\n' + "\n".join(filter(None, content)) + "\n</section>"


def paragraph(words: str, kind: str = "") -> str:
    """A paragraph of text."""
    return f'<p class="{kind}">{escape(words)}</p>' if kind else f"<p>{escape(words)}</p>"


def bullets(items: Iterable[str]) -> str:
    """A list of texts."""
    return "<ul>" + "".join(f"<li>{escape(item)}</li>" for item in items) + "</ul>"


def table(head: Sequence[str], rows: Iterable[Sequence[str]], *, ours: int | None = None, words: bool = False) -> str:
    """A table of texts, their line breaks kept; row `ours` stands out, `words` sets all to the left and wraps them."""
    body = ""
    for number, row in enumerate(rows):
        cells = "".join(f"<td>{escape(cell)}</td>" for cell in row)
        body += f'<tr class="ours">{cells}</tr>' if number == ours else f"<tr>{cells}</tr>"
    top = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    kind = ' class="words"' if words else ""
    return f'<div class="scroll"><table{kind}><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'
