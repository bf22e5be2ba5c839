"""Many trainings side by side, each in a process of its own."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import Any, Protocol, runtime_checkable

import torch

from qmae._progress import Progress, silent
from qmae.errors import InputError


@runtime_checkable
class Trainable(Protocol):
    """What `train_all` needs of a run; it is sent to other processes."""

    @property
    def finished(self) -> bool:
        """Whether there is nothing left to train."""
        ...

    def check_settings(self) -> None:
        """Refuse what cannot be trained, before anything is."""

    def train(self, *, device: torch.device | str = "cpu", progress: Progress = silent) -> Any:
        """Train it."""


def train_all(
    runs: Sequence[Trainable], *, jobs: int = 1, device: torch.device | str = "cpu", progress: Progress = silent
) -> None:
    """Train all runs that are not finished.

    Small models leave much of a second core idle: two trainings at a time, with one thread each, are done sooner than
    one after the other with two.

    Args:
        runs: in the order in which they are begun.
        jobs: how many at a time; torch's threads are shared out among them.
        device: where to compute.
        progress: told of every step, or of every training if several go on at a time.

    Raises:
        InputError: a folder holds a run with other settings, or cannot be written; or the data cannot be used.
    """
    for run in runs:
        run.check_settings()
    if jobs < 1:
        raise InputError(f"{jobs} jobs train nothing: give 1 or more")
    unfinished = [run for run in runs if not run.finished]
    if jobs == 1:
        for run in unfinished:
            run.train(device=device, progress=progress)
        return
    threads = max(torch.get_num_threads() // jobs, 1)
    # A forked process would inherit locks of torch's threads.
    with (
        progress("training", len(unfinished)) as advance,
        ProcessPoolExecutor(jobs, get_context("spawn"), torch.set_num_threads, (threads,)) as pool,
    ):
        try:
            for future in as_completed([pool.submit(_train, run, device) for run in unfinished]):
                future.result()
                advance(1)
        except BrokenProcessPool as error:
            raise InputError(
                "a training process died, most likely for want of memory: give fewer --jobs; what is finished is kept"
            ) from error
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _train(run: Trainable, device: torch.device | str) -> None:
    run.train(device=device)
