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
\providecommand{\leaderboardscripts}[2]{\ensuremath{^{\mbox{\tiny #1}}_{\mbox{\tiny #2}}}}
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
_ROWS = 34
"""That a page holds, with what stands under a table."""
_UNEVEN_FROM = 0.25
"""Of half an interval's width: from there off its middle, a value has a distance to either end."""
_ROUNDED = 0.05
"""Points by which a value with one decimal may be off."""
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
    """One table: percent with one decimal, in small type half the width of the interval, or how far its ends are."""
    columns = len(sheet.head)
    lines = [
        r"\begin{table*}[tp]",
        r"\centering\footnotesize\setlength{\tabcolsep}{2.5pt}\renewcommand{\arraystretch}{1.1}\setlength{\belowcaptionskip}{4pt}",
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
    if not ink.interval:
        return value + _raised(ink.notes)
    low, high = ink.interval
    if _is_even(ink):
        return value + rf"\leaderboardscripts{{{escape(ink.notes)}}}{{$\pm${_digits((high - low) / 2)}}}"
    ends = (_signed(end - float(ink.text)) for end in (high, low))
    return value + _raised(ink.notes) + r"\leaderboardscripts" + "".join(f"{{{end}}}" for end in ends)


def _is_even(ink: Ink) -> bool:
    """Whether the value stands about in the middle of its interval, as far as it is printed."""
    if not ink.interval:
        return True
    low, high = ink.interval
    return abs((low + high) / 2 - float(ink.text)) <= max(_UNEVEN_FROM * (high - low) / 2, _ROUNDED)


def _signed(distance: float) -> str:
    return ("$-$" if distance < 0 else "$+$") + _digits(abs(distance))


def _digits(width: float) -> str:
    """One decimal, a second where one alone would say 0.0."""
    return f"{width:.1f}" if width >= _ROUNDED else f"{width:.2f}"


def _raised(notes: str) -> str:
    return rf"\textsuperscript{{{escape(notes)}}}" if notes else ""


def _footnotes(sheet: Sheet) -> list[str]:
    inked = [ink for _, rows in sheet.body for row in rows for ink in row if ink.interval]
    lines = [escape(line) for line in sheet.lines]
    if any(map(_is_even, inked)):
        lines.append(r"After $\pm$: half the width of the interval.")
    if not all(map(_is_even, inked)):
        lines.append("Raised and lowered: how far its ends are, where the value is far from its middle.")
    notes = [rf"\textsuperscript{{{escape(mark)}}}\,{escape(note)}." for mark, note in sheet.notes]
    told = [*lines, *([r"\par", *notes] if notes else [])]
    return [r"\par\smallskip", r"\begin{minipage}{\textwidth}\raggedright\scriptsize", *told, r"\end{minipage}"]
