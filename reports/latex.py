"""LaTeX tables as papers print them: booktabs, best bold, second underlined, all text escaped.

The output is a fragment for plain pdflatex; its first comment lines are the whole document that compiles it.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from operator import itemgetter
from typing import TypeVar

from reports.latex_text import escape
from reports.sheet import Ink, Sheet

T = TypeVar("T")

HEADER = r"""% Compile this fragment with:
%   \documentclass[twocolumn]{article}
%   \usepackage[margin=2cm]{geometry}
%   \usepackage{booktabs}
%   \usepackage{graphicx}
%   \begin{document}
%   \input{leaderboard}
%   \end{document}
"""
_BOX = r"""\ifdefined\leaderboardbox\else\newsavebox{\leaderboardbox}\fi
"""
_FIT = r"""\ifdim\wd\leaderboardbox>\textwidth
\resizebox{\textwidth}{!}{\usebox{\leaderboardbox}}
\else
\usebox{\leaderboardbox}
\fi"""
"""A table wider than two columns is scaled to them, any other is left as it is."""
_STACKED_FROM = 9
"""Characters of a column's head from which it is broken at its last hyphen or space, as in m-cashew- / plant."""
_FLOATS = 12
"""Tables after which LaTeX is told to print those it holds: it can hold eighteen."""
_ROWS = 40
"""That a page holds, with what stands under a table."""
_FOLDED_FROM, _FOLDED_WIDTH = 30, "42mm"
"""Characters of a title from which it takes several lines, and their width."""


def document(sheets: Iterable[Sheet]) -> str:
    """All tables, one `table*` environment each, after the comment that says how to compile them."""
    parts = [part for sheet in sheets for part in _parts(sheet)]
    pages = ["\n".join(map(fragment, batch)) for batch in _batched(parts, _FLOATS)]
    return HEADER + "\n" + _BOX + "\n" + "\\clearpage\n\n".join(pages)


def _parts(sheet: Sheet) -> list[Sheet]:
    """A sheet as several of a page each; what stands under it stands under the last."""
    rows = [(section, row) for section, found in sheet.body for row in found]
    cut = list(_batched(rows, _ROWS))
    if len(cut) < 2:
        return [sheet]
    bodies = [
        tuple((name, tuple(row for _, row in found)) for name, found in groupby(part, itemgetter(0))) for part in cut
    ]
    return [
        replace(
            sheet,
            name=f"{sheet.name}-part-{number}",
            title=f"{sheet.title} (part {number} of {len(cut)})",
            body=body,
            lines=sheet.lines if number == len(cut) else ("Notes: under the last part.",),
            notes=sheet.notes if number == len(cut) else (),
        )
        for number, body in enumerate(bodies, start=1)
    ]


def _batched(found: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    return (found[start : start + size] for start in range(0, len(found), size))


def fragment(sheet: Sheet) -> str:
    """One table: percent with one decimal, +- half the width of the interval in small type."""
    columns = len(sheet.head)
    lines = [
        r"\begin{table*}[tp]",
        r"\centering\footnotesize\setlength{\tabcolsep}{3.5pt}\setlength{\belowcaptionskip}{4pt}",
        rf"\caption{{{escape(sheet.title)}.}}",
        rf"\label{{tab:{sheet.name}}}",
        r"\begin{lrbox}{\leaderboardbox}",
        rf"\begin{{tabular}}{{{'l' * sheet.labels}{'r' * (columns - sheet.labels)}}}",
        r"\toprule",
        " & ".join(_head(ink, place >= sheet.labels) for place, ink in enumerate(sheet.head)) + r" \\",
    ]
    for section, rows in sheet.body:
        lines.append(r"\midrule")
        if section:
            lines.append(rf"\multicolumn{{{columns}}}{{l}}{{\emph{{{escape(_capital(section))}}}}} \\")
        # The empty group keeps a title that starts with a bracket from becoming an argument of the last \\.
        lines += [
            "{}" + " & ".join([*map(_label, row[: sheet.labels]), *map(_cell, row[sheet.labels :])]) + r" \\"
            for row in rows
        ]
    lines += [r"\bottomrule", r"\end{tabular}", r"\end{lrbox}", _FIT, *_footnotes(sheet), r"\end{table*}", ""]
    return "\n".join(lines)


def _head(ink: Ink, is_number: bool) -> str:
    parts = re.match(r"(.{3,}(?:-| ))(\S+)$", ink.text)
    if is_number and parts and len(ink.text) >= _STACKED_FROM:
        return rf"\shortstack[r]{{{escape(parts[1])}\\{escape(parts[2])}{_raised(ink.notes)}}}"
    return escape(ink.text) + _raised(ink.notes)


def _capital(section: str) -> str:
    """A section's name, which is a dataset's in some tables."""
    return section if "-" in section else section[0].upper() + section[1:]


def _label(ink: Ink) -> str:
    if len(ink.text) <= _FOLDED_FROM:
        return _cell(ink)
    return rf"\parbox[t]{{{_FOLDED_WIDTH}}}{{\raggedright {_cell(ink)}\strut}}"


def _cell(ink: Ink) -> str:
    value = escape(ink.text)
    value = re.sub(r"(^|/)([+-])(?=\d)", r"\1$\2$", value)
    value = {"best": rf"\textbf{{{value}}}", "second": rf"\underline{{{value}}}"}.get(ink.style, value)
    return value + _raised(ink.notes) + (rf"\,{{\tiny$\pm${_half(*ink.interval)}}}" if ink.interval else "")


def _half(low: float, high: float) -> str:
    """Half the width of an interval that is one: with a second digit where one alone would say 0.0."""
    half = (high - low) / 2
    return f"{half:.1f}" if half >= 0.05 else f"{half:.2f}"


def _raised(notes: str) -> str:
    return rf"\textsuperscript{{{escape(notes)}}}" if notes else ""


def _footnotes(sheet: Sheet) -> list[str]:
    lines = [escape(line) for line in sheet.lines]
    if any(ink.interval for _, rows in sheet.body for row in rows for ink in row):
        lines.append(r"After $\pm$: half the width of the interval.")
    lines += [rf"\textsuperscript{{{escape(mark)}}}\,{escape(note)}." for mark, note in sheet.notes]
    return [r"\par\smallskip", r"\begin{minipage}{\textwidth}\raggedright\scriptsize", *lines, r"\end{minipage}"]
