"""Over which datasets of a table a mean score runs: those of one metric, without the one whose train and test images
share ground, so that a chart of means compares like with like."""

from collections import Counter
from dataclasses import dataclass
from statistics import fmean

from reports import paper
from reports.table import Row, Table


@dataclass(frozen=True)
class Mean:
    """A mean over some columns of a table.

    Attributes:
        columns: those it runs over; none where no model has them all.
        metric: theirs, as papers call it.
        left_out: the table's other columns, and why each is left out.
    """

    columns: tuple[str, ...]
    metric: str
    left_out: dict[str, str]

    def has(self, row: Row) -> bool:
        """Whether the row has a score in each column."""
        return bool(self.columns) and all(column in row.cells for column in self.columns)

    def of(self, row: Row) -> float:
        """The row's mean score, a fraction of 1; the row has them all."""
        return fmean(row.cells[column].value for column in self.columns)

    def is_ranked(self, row: Row) -> bool:
        """Whether the row is a model with a ranked score in each column."""
        return row.section == "models" and self.has(row) and all(row.cells[one].ranked for one in self.columns)

    @property
    def words(self) -> str:
        """What it is, and of what: `mean accuracy over m-eurosat, m-so2sat, without m-bigearthnet (micro F1)`.

        Empty where it runs over nothing.
        """
        if not self.columns:
            return ""
        over = f"mean {self.metric} over" if len(self.columns) > 1 else f"{self.metric} on"
        others = ", ".join(f"{column} ({why})" for column, why in self.left_out.items())
        return f"{over} {', '.join(self.columns)}" + (f", without {others}" if others else "")


def mean_of(table: Table) -> Mean:
    """The mean that a chart of the table draws: over the datasets of the metric that most have, or where no model has
    them all, over those of them that every model has; m-cashew-plant is left out wherever there is another."""
    own = [column for column in table.columns if paper.dataset_of(column) != paper.LEAKY] or list(table.columns[:1])
    metric = Counter(table.metrics[column] for column in own).most_common(1)[0][0]
    alike = [column for column in own if table.metrics[column] == metric]
    rows = [row for row in table.rows if row.section == "models"] or table.rows
    if not any(all(column in row.cells for column in alike) for row in rows):
        alike = [column for column in alike if all(column in row.cells for row in rows)]
    left_out = {column: _why(table, column, metric) for column in table.columns if column not in alike}
    return Mean(tuple(alike), paper.metric(metric), left_out)


def _why(table: Table, column: str, metric: str) -> str:
    if paper.dataset_of(column) == paper.LEAKY:
        return "train and test images share fields"
    return paper.metric(table.metrics[column]) if table.metrics[column] != metric else "not in every row"
