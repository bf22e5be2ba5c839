"""What happened while a model was trained, step by step; imports no torch."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass, field

COLUMNS = (
    *("step", "epoch", "loss_mean", "loss_p05", "loss_p95"),
    *("learning_rate", "skipped", "validation_fidelity", "seconds"),
)


@dataclass
class History:
    """What happened at every step; `COLUMNS` names the values of a row.

    `loss_mean`, `loss_p05` and `loss_p95` are the mean and the 5% and 95% quantiles of 1 - F over the
    images of the step (Figure 8), `skipped` counts images that had nothing left to embed,
    `validation_fidelity` is known at the end of an epoch and NaN elsewhere, `seconds` is the time trained.
    """

    rows: list[list[float]] = field(default_factory=list)

    def column(self, name: str) -> list[float]:
        """All values of one column."""
        return [row[COLUMNS.index(name)] for row in self.rows]

    def to_csv(self) -> str:
        """The history as CSV with a header; NaN is left empty."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows([["" if value != value else f"{value:.9g}" for value in row] for row in self.rows])
        return text.getvalue()

    @classmethod
    def from_csv(cls, text: str) -> History:
        """Read what `to_csv` wrote.

        Raises:
            ValueError: the text is something else, or holds no step.
        """
        try:
            header, *rows = csv.reader(io.StringIO(text))
        except csv.Error as error:
            raise ValueError(f"no CSV: {error}") from error
        if tuple(header) != COLUMNS or not rows or any(len(row) != len(COLUMNS) for row in rows):
            raise ValueError("no history of a training")
        if not text.endswith("\n"):
            raise ValueError("it is cut short")
        return cls.of([[float(value or "nan") for value in row] for row in rows])

    @classmethod
    def of(cls, rows: list[list[float]]) -> History:
        """Make one of its rows.

        Raises:
            ValueError: they are not of one training: steps are missing, or epochs have different numbers of them.
        """
        history = cls(rows)
        per_epoch = history.steps_per_epoch  # looks at all rows, so not again for each
        wanted = [[step + 1, step // per_epoch + 1] for step in range(len(rows))]
        if [row[:2] for row in rows] != wanted or any(len(row) != len(COLUMNS) for row in rows):
            raise ValueError("its steps are not those of a training")
        return history

    @property
    def steps_per_epoch(self) -> int:
        """Steps of the first epoch, which are those of every epoch once it is finished."""
        return max(1, sum(row[1] == 1 for row in self.rows))

    @property
    def epochs(self) -> int:
        """How many epochs are finished: the last step of each knows the fidelity on validation images."""
        ends = self.column("validation_fidelity")[self.steps_per_epoch - 1 :: self.steps_per_epoch]
        return sum(value == value for value in ends)
