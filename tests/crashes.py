"""Kill trainings at some of the changes they make to files, and go on after each: `crashes.py DATA FOLDER POINT ...`.

A process of its own, so that its children can be killed. Before every change of a file the interpreter tells an audit
hook, which kills the process at the first, second, ... of them. Prints one line for every point.
"""

import os
import signal
import sys
from pathlib import Path

import torch

from qmae import ModelConfig, PatchMask, TrainingConfig
from qmae.training.runs import Run

CHANGES = {"open", "os.rename", "os.remove", "os.mkdir", "os.rmdir"}


def new_run(folder: Path, data: str) -> Run:
    return Run(folder, ModelConfig(PatchMask(8)), TrainingConfig(epochs=2, batch_size=60), data)


def in_child(work) -> int:
    """Do something in a child process; gives the signal that killed it, or 0."""
    child = os.fork()
    if not child:
        try:
            work()
        except BaseException as error:
            print(f"{type(error).__name__}: {error}", flush=True)
            os._exit(1)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    if os.WIFEXITED(status) and os.WEXITSTATUS(status):
        sys.exit(1)
    return os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0


def train(run: Run, kill_at: int = 0) -> None:
    seen = 0

    def die(event, arguments):
        nonlocal seen
        if event in CHANGES and str(run.folder) in str(arguments[0]):
            seen += 1
            if seen == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(die)
    run.train()


def content(folder: Path) -> tuple:
    """Weights as they are, the history but for its times, and whatever else lies there."""
    history = [line.rsplit(",", 1)[0] for line in (folder / "history.csv").read_text().splitlines()]
    return (folder / "model.safetensors").read_bytes(), history, sorted(os.listdir(folder))


def main(data: str, out: Path, points: list[int]) -> None:
    torch.set_num_threads(1)
    whole = new_run(out / "whole", data)
    in_child(lambda: train(whole))
    expected = content(whole.folder)
    for point in points:
        run = new_run(out / str(point), data)
        killed = in_child(lambda: train(run, point))  # noqa: B023 - done before the loop goes on
        left = sorted(os.listdir(run.folder)) if run.folder.exists() else None
        in_child(lambda: train(run))  # noqa: B023
        same = content(run.folder) == expected and run.finished
        print(point, "killed" if killed else "ended", "same" if same else "different", left, flush=True)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), [int(point) for point in sys.argv[3:]])
