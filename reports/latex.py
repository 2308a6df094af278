"""LaTeX tables as papers print them: booktabs, best bold, second underlined, all text escaped.

The output is a fragment for plain pdflatex; its first comment lines are the whole document that compiles it.
"""

import unicodedata
from collections.abc import Iterable

from reports.table import NOT_RANKED, Cell, Row, Table, letter

HEADER = r"""% Compile this fragment with:
%   \documentclass{article}
%   \usepackage[margin=2cm]{geometry}
%   \usepackage{booktabs}
%   \begin{document}
%   \input{leaderboard}
%   \end{document}
"""

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"$<$",
    ">": r"$>$",
    "|": r"$|$",
    '"': "''",
    "×": r"$\times$",
    "±": r"$\pm$",
    "µ": r"$\mu$",
    "μ": r"$\mu$",
    "°": r"$^\circ$",
    "–": "--",
    "—": "---",
    "‘": "`",
    "’": "'",
    "“": "``",
    "”": "''",
    "ß": r"\ss{}",
    "ø": r"\o{}",
    "Ø": r"\O{}",
    "æ": r"\ae{}",
    "Æ": r"\AE{}",
    "ł": r"\l{}",
    "Ł": r"\L{}",
    "†": r"$\dagger$",
    "…": r"\ldots{}",
}

_ACCENTS = {"\u0300": "`", "\u0301": "'", "\u0302": "^", "\u0303": "~", "\u0308": '"', "\u030a": "r",
            "\u030c": "v", "\u0327": "c", "\u0304": "=", "\u0306": "u", "\u030b": "H"}  # fmt: skip


def escape(text: str) -> str:
    """Text for LaTeX, no character of it a command; a script that plain pdflatex lacks becomes '?'."""
    return "".join(_escape_one(character) for character in unicodedata.normalize("NFC", " ".join(text.split())))


def document(tables: Iterable[Table]) -> str:
    """All tables, one `table` environment each, after the comment that says how to compile them."""
    return HEADER + "\n" + "\n".join(table_fragment(table, number) for number, table in enumerate(tables, 1))


def table_fragment(table: Table, number: int = 1) -> str:
    """One table: percent with one decimal, +- half the width of the interval in small type."""
    labels = ["Encoder", "Fusion"] if table.has_fusion else ["Encoder"]
    width = len(table.columns) + len(labels)
    lines = [
        r"\begin{table*}",
        r"\centering\small\setlength{\tabcolsep}{4pt}\setlength{\belowcaptionskip}{6pt}",
        rf"\caption{{{escape(table.title)}.}}",
        rf"\label{{tab:leaderboard-{number}}}",
        rf"\begin{{tabular}}{{{'l' * len(labels)}{'r' * len(table.columns)}}}",
        r"\toprule",
        " & ".join([*labels, *map(escape, table.columns)]) + r" \\",
    ]
    for section, rows in table.sections.items():
        lines.append(r"\midrule")
        if section != "models":
            lines.append(rf"\multicolumn{{{width}}}{{l}}{{\emph{{{section.capitalize()}}}}} \\")
        lines += [_line(row, table) for row in rows]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", *_footnotes(table), r"\end{table*}", ""])


def _line(row: Row, table: Table) -> str:
    title = escape(row.title) + (" (random weights)" if row.random else "")
    cells = [_cell(row.cells[column]) if column in row.cells else "--" for column in table.columns]
    # The empty group keeps a title that starts with a bracket from becoming an argument of the last \\.
    labels = ["{}" + title, escape(row.fusion)] if table.has_fusion else ["{}" + title]
    return " & ".join([*labels, *cells]) + r" \\"


def _cell(cell: Cell) -> str:
    value = {"best": r"\textbf{%s}", "second": r"\underline{%s}"}.get(cell.mark, "%s") % cell.percent
    notes = ",".join([*([] if cell.ranked else [r"$\dagger$"]), *map(letter, cell.notes)])
    superscript = rf"\textsuperscript{{{notes}}}" if notes else ""
    half = rf"\,{{\scriptsize$\pm${50 * (cell.high - cell.low):.1f}}}" if cell.has_interval else ""
    return value + superscript + half


def _footnotes(table: Table) -> list[str]:
    lines = [escape(line) for line in table.footnotes]
    lines[0] += r" After $\pm$: half the width of the interval."
    lines += [rf"$\dagger$ {escape(NOT_RANKED)}."] if table.has_unranked else []
    lines += [rf"\textsuperscript{{{letter(i)}}} {escape(note.rstrip('.'))}." for i, note in enumerate(table.notes)]
    return [r"\par\smallskip\raggedright\footnotesize", *(line + r"\par" for line in lines)]


def _escape_one(character: str) -> str:
    if character in _SPECIAL:
        return _SPECIAL[character]
    if character.isascii():
        return character if character.isprintable() else ""
    base, *marks = list(unicodedata.normalize("NFD", character))
    if base.isascii() and base.isalpha() and len(marks) == 1 and marks[0] in _ACCENTS:
        dotless = {"i": r"\i{}", "j": r"\j{}"}.get(base, base) if marks[0] != "\u0327" else base
        return rf"\{_ACCENTS[marks[0]]}{{{dotless}}}"
    return "?"
