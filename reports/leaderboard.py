"""The leaderboard: records in, spreadsheets, Markdown and LaTeX out.

`leaderboard.csv` is tidy, a row a record with everything known of it; `leaderboard_wide.csv`, `.md` and `.tex` have
a row an encoder and a column a dataset, a table for each set of comparable records (`reports.tables`), and what is read
off them; `leaderboard_tests.csv` has the paired tests behind the marks, `leaderboard_published.csv` what others have
published on the same datasets; `geobench_results.csv` is what GEO-Bench's own plotting tools read, where there are
records of its datasets.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

from benchmark.atomic import write_atomically
from benchmark.records import Record
from reports import experiments, geobench, latex, markdown, spreadsheets
from reports.beside import all_beside
from reports.derived import ablations, curves, differences, is_fraction, main
from reports.other_sheets import of_costs, of_curves, of_differences, of_published
from reports.sheet import Sheet, of_table
from reports.table import Table
from reports.tables import tables

GEOBENCH = "geobench_results.csv"
"""The one file that isn't always there."""


def sheets(
    found: Sequence[Table], records: Iterable[Record] = (), ablated: Sequence[Table] | None = None
) -> list[Sheet]:
    """Everything printed: leaderboards, published numbers, ablations, experiments, costs, fractions, stored names.

    Args:
        ablated: the tables' ablations, where they are known.
    """
    printed = main(found)
    boards = [of_table(table, number) for number, table in enumerate(printed, start=1)]
    fusers = ablations(found) if ablated is None else ablated
    within = [of_table(table, number) for number, table in enumerate(fusers, start=1)]
    asked = experiments.sheets(experiments.shown(records))
    read_off = [*of_costs(printed), *of_curves(curves(found)), *of_differences(differences(found))]
    return [*boards, *of_published(all_beside(printed)), *within, *asked, *read_off]


def write(records: Iterable[Record], folder: Path, made: Sequence[Table] | None = None) -> list[Path]:
    """Write all files into a folder, each atomically.

    Args:
        made: the records' tables, where they are known.

    Returns:
        Their paths, the tidy CSV first.
    """
    given = list(records)
    found = tables(given) if made is None else made
    ablated = ablations(found)
    printed = sheets(found, given, ablated)
    numbered = sorted(found, key=is_fraction)  # as they are printed, then those that are not
    contents = {
        "leaderboard.csv": spreadsheets.text_of(spreadsheets.tidy(given, found)),
        "leaderboard_wide.csv": spreadsheets.text_of(spreadsheets.wide(numbered)),
        "leaderboard_tests.csv": spreadsheets.text_of(spreadsheets.tests(numbered, ablated)),
        "leaderboard_published.csv": spreadsheets.text_of(spreadsheets.published(numbered)),
        "leaderboard.md": markdown.document(printed),
        "leaderboard.tex": latex.document(printed),
    }
    if theirs := geobench.rows(given, found):
        contents[GEOBENCH] = spreadsheets.text_of(theirs)
    return [write_atomically(folder / name, text.encode()) for name, text in contents.items()]
