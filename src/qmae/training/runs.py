"""Run folders: what was trained, with which settings, on which data; enough to repeat it or go on with it."""

from __future__ import annotations

import hashlib
import os
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool

from qmae._files import check_free, read_bytes, read_json, read_text, to_json, write_atomically
from qmae._progress import Progress, silent
from qmae._values import flat
from qmae.data.choices import Split
from qmae.data.datasets import DATASETS, Fingerprint, dataset, lasting_source
from qmae.data.images import fingerprint, keys_of, load_images
from qmae.data.splits import image_keys
from qmae.errors import InputError
from qmae.models.base import TrainableModel
from qmae.models.pretrained import CONFIG, FORMAT, SHIPPED, WEIGHTS, check_format, locate, packaged
from qmae.models.registry import AnyConfig, build_model, from_pretrained, parse_config
from qmae.models.weights import load_tensors
from qmae.training.config import TrainingConfig
from qmae.training.locks import locked
from qmae.training.loop import CHECKPOINT, HISTORY, History, check_method, train

UNFINISHED = "unfinished"
"""The setting of a run that says how far its training got, if not to its end or if that is not known."""


@dataclass(frozen=True)
class Run:
    """One training run and its folder.

    The folder holds `config.json`, `model.safetensors`, `history.csv` and, until training is finished, `checkpoint.pt`.
    While it is trained a lock keeps other processes out.

    Attributes:
        folder: where the run lies.
        model: the model's config.
        training: the settings of the training; their seed is that of the initial angles, too. None for a model that
            `save_pretrained` wrote, which says nothing of its training.
        data: what it is trained on, as `load_images` takes it; a path is made absolute. MNIST where it is not known.
        fingerprint: of the data when it was trained, which tells later whether they changed; None for MNIST, in folders
            of versions that kept none, and before the training.
        skip_black: leave out images of the data that are all black instead of refusing them.

    Raises:
        InputError: the data's path is none.
    """

    folder: Path
    model: AnyConfig
    training: TrainingConfig | None
    data: str = "mnist"
    fingerprint: Fingerprint | None = field(default=None, compare=False)
    skip_black: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "folder", Path(self.folder))
        object.__setattr__(self, "data", lasting_source(self.data))

    @classmethod
    def open(cls, folder: Path) -> Run:
        """Read the settings of a run.

        Args:
            folder: where it lies, or a name in `SHIPPED`.

        Raises:
            InputError: the folder holds no run.
        """
        folder = locate(folder)
        try:
            content = read_json(folder / CONFIG)
            model, training, known = content["model"], content.get("training"), content.get("fingerprint")
            data = content.get("data", "mnist") if training is None else content["data"]
            if not isinstance(data, str) or not all(isinstance(part, dict | None) for part in (model, training, known)):
                raise ValueError(f"{CONFIG} has another form than settings have")
        except KeyError as error:
            raise InputError(
                f"{folder} holds no training run ({CONFIG} lacks {error}): give the folder of `qmae train`"
            ) from error
        except ValueError as error:
            raise InputError(f"{folder} holds no training run ({error}): give the folder of `qmae train`") from error
        try:
            check_format(content)
            if known is not None and dataset(data).published:
                raise ValueError(f"{CONFIG} was changed: its fingerprint of the data is not of {data}")
            return cls(
                folder,
                parse_config(content),
                None if training is None else _training(training, older="format" not in content),
                data,
                None if known is None else Fingerprint(**known),
                content.get("skip_black", False) is True,
            )
        except (TypeError, KeyError, ValueError, OverflowError, AttributeError) as error:
            raise InputError(
                f"{folder} is of another version of qmae, or damaged ({error}): train it anew by this one"
            ) from error

    @property
    def finished(self) -> bool:
        """Whether all epochs are trained: the history holds all their steps, and the weights are those after them."""
        try:
            history = self.history()
            self._check_sum(WEIGHTS)
            about = load_tensors(self.folder / WEIGHTS, *self.model.stored_shapes)[1]
        except InputError:
            return False
        if self.training is None or history.epochs != self.training.epochs:
            return False
        steps = about.get("steps")  # older versions did not say; what they left has no checkpoint
        at_end = not (self.folder / CHECKPOINT).exists() if steps is None else steps == len(history.rows)
        return at_end and len(history.rows) == history.epochs * history.steps_per_epoch

    @property
    def starts_anew(self) -> bool:
        """Whether `train` begins at the first epoch though some were trained: there is no checkpoint to go on from."""
        trained = any((self.folder / name).exists() for name in (HISTORY, WEIGHTS))
        return trained and not (self.folder / CHECKPOINT).exists() and not self.finished

    def all_settings(self) -> dict[str, Any]:
        """All that fixes what a run is but its seed: the model's config, the training, and how far it got.

        Of a folder without a training it is not known: the folder stands for it.
        """
        settings = flat(asdict(self.model))
        if self.training is None:
            return {**settings, "folder": str(self.folder)}
        training = {name: value for name, value in asdict(self.training).items() if name != "seed"}
        done = self.epochs_done
        if done is None and not self.is_packaged:
            return {**settings, **training, UNFINISHED: "epochs unknown"}
        finished = done in (None, self.training.epochs)
        unfinished = {} if finished else {UNFINISHED: f"{done} of {self.training.epochs} epochs"}
        return {**settings, **training, **unfinished}

    @property
    def epochs_done(self) -> int | None:
        """How many epochs are trained; None for a model without a history."""
        history = self.history_or_none()
        return None if history is None else history.epochs

    @property
    def seconds(self) -> float | None:
        """How long the training took; None for a model without a history."""
        history = self.history_or_none()
        return None if history is None else history.column("seconds")[-1]

    def train(self, *, device: torch.device | str = "cpu", progress: Progress = silent) -> TrainableModel:
        """Train from the start, or go on where an earlier training stopped; a finished run is only loaded.

        Without a checkpoint to go on from, training starts anew. If it is interrupted before its first epoch is
        finished, a folder that held nothing is removed: it would hold nothing.

        Args:
            device: where to compute.
            progress: told of every step.

        Raises:
            InputError: the folder holds something else, is being trained by another process, or cannot be written; or
                the data cannot be used, or changed since the training began.
        """
        self.check_settings()
        if self.training is None:
            raise InputError(f"{self.folder} holds a model without settings of a training: train one by `qmae train`")
        if self.finished and not (self.folder / CHECKPOINT).exists():
            return self.load()
        size = self.model.patch.image_size
        images, validation = (
            load_images(self.data, split=split, size=size, skip_black=self.skip_black)[0]
            for split in ("train", "validation")
        )
        model = build_model(self.model, seed=self.training.seed)
        check_method(model, self.training)
        with locked(self.folder):
            # Another process may have been here meanwhile.
            self.check_settings()
            if self.finished and not (self.folder / CHECKPOINT).exists():
                return self.load()
            new = not (self.folder / CONFIG).exists()
            if new:
                check_free(self.folder)
            about = self._about()
            try:
                self._write_config(about)
                train(model, images, validation, self.training, folder=self.folder, device=device, progress=progress)
            except BaseException:
                if new and not (self.folder / CHECKPOINT).exists():
                    (self.folder / CONFIG).unlink(missing_ok=True)
                raise
            self._write_config({**about, "sha256": {name: self._sum(name) for name in (HISTORY, WEIGHTS)}})
        return model

    def _about(self) -> dict[str, Any]:
        """What is known before the training: settings, and which images it is made on."""
        assert self.training is not None
        about = {"format": FORMAT, "kind": self.model.kind, "model": asdict(self.model)}
        about |= {"training": asdict(self.training), "data": self.data}
        if known := fingerprint(self.data):
            about |= {"fingerprint": asdict(known), "skip_black": self.skip_black}
        return about

    def _write_config(self, content: dict[str, Any]) -> None:
        write_atomically(self.folder / CONFIG, to_json(content))

    def _sum(self, name: str) -> str:
        return hashlib.sha256(read_bytes(self.folder / name)).hexdigest()

    def _check_sum(self, name: str) -> None:
        """Refuse a file that is not as it was when training ended.

        Raises:
            InputError: it is damaged, or another run's.
        """
        sums = read_json(self.folder / CONFIG).get("sha256", {})
        if isinstance(sums, dict) and name in sums and self._sum(name) != sums[name]:
            raise InputError(
                f"{self.folder} holds no model that can be read ({name} is damaged, or of another run: its checksum is "
                f"not the one in {CONFIG}): give the folder of a run"
            )

    def check_settings(self) -> None:
        """Refuse a folder that holds another run than this one, or one whose data changed.

        The same data may lie elsewhere meanwhile.

        Raises:
            InputError: its model, training or data differ.
        """
        if not (self.folder / CONFIG).exists():
            return
        known = Run.open(self.folder)
        same_data = known.data == self.data or (
            known.fingerprint is not None and known.fingerprint == fingerprint(self.data)
        )
        settings = [(run.model, run.training, run.skip_black) for run in (known, self)]
        if settings[0] != settings[1] or not same_data:
            raise InputError(f"{self.folder} holds a run with other settings: choose another --out")
        if known.data == self.data:
            known.check_data()

    def check_data(self) -> None:
        """Refuse data that are not those of the training any more: what was held out then may not be held out now.

        Raises:
            InputError: the data are gone, changed or not registered, or the run is of a version that kept no
                fingerprint of them.
        """
        if dataset(self.data).published:
            return
        if self.fingerprint is None:
            raise InputError(
                f"{self.folder} does not say which images of {self.data} it was trained on, as older versions of qmae "
                "did not: train it anew"
            )
        known = self.data in DATASETS
        if not known and not os.path.isabs(self.data):
            raise InputError(
                f"{self.folder} was trained on {self.data}, no data set here: register it in DATASETS, or give a "
                "file of the same images by --data"
            )
        if not known and not os.path.exists(self.data):
            raise InputError(
                f"{self.folder} was trained on {self.data}, which is gone: put it back; `qmae evaluate` and "
                "`qmae train --resume` take its new place by --data"
            )
        now = fingerprint(self.data)
        if now != self.fingerprint:
            assert now is not None
            raise InputError(
                f"{self.data} has changed since {self.folder} was trained on it ({self.fingerprint.images} images then,"
                f" {now.images} now): put the old data back, or train anew"
            )

    def holds_out(self, source: str) -> bool:
        """Whether the test split of a data set is what this run holds out: it has the content that it is trained on."""
        if self.fingerprint is None:
            return self.data == source and dataset(source).published
        return self.fingerprint == fingerprint(source)

    def unseen(self, source: str, split: Split = "all") -> Bool[np.ndarray, " images"]:
        """Which images of another data set, but for black ones, were neither trained on nor chosen by.

        A model that says nothing of its training is taken to have seen none.

        Args:
            source: as `load_images` takes it.
            split: of its images.

        Raises:
            InputError: the data of the training are gone or changed; or the others cannot be read.
        """
        size = self.model.patch.image_size
        keys = keys_of(source, split, size=size, skip_black=True)
        if self.training is None:
            return np.ones(len(keys), bool)
        self.check_data()
        given = {"size": size, "skip_black": self.skip_black}
        seen = np.concatenate([keys_of(self.data, part, **given) for part in ("train", "validation")])
        # The file may hold images that were resized before, as the model sees them.
        resized = image_keys(load_images(source, split=split, size=size, skip_black=True)[0].numpy())
        seen_resized = np.concatenate(
            [image_keys(load_images(self.data, split=part, **given)[0].numpy()) for part in ("train", "validation")]
        )
        return ~(np.isin(keys, seen) | np.isin(resized, seen_resized))

    def load(self) -> TrainableModel:
        """Load the model of the last finished epoch.

        Raises:
            InputError: there is none, or it is damaged.
        """
        for name in (HISTORY, WEIGHTS):
            if os.path.lexists(self.folder / name):
                self._check_sum(name)
        return from_pretrained(self.folder)

    @property
    def is_packaged(self) -> bool:
        """Whether it is a model that the package brings."""
        return self.folder.name in SHIPPED and self.folder == packaged(self.folder.name)

    def history(self) -> History:
        """Read `history.csv`.

        Raises:
            InputError: there is none, since no epoch is finished, or it is damaged.
        """
        try:
            self._check_sum(HISTORY)
            return History.from_csv(read_text(self.folder / HISTORY))
        except ValueError as error:
            raise InputError(
                f"{self.folder} has no history.csv that can be read ({error}); models of the package have none: train "
                "one, or an interrupted one by --resume"
            ) from error

    def history_or_none(self) -> History | None:
        """Read `history.csv`; None where there is none, as beside models of the package.

        Raises:
            InputError: it is damaged.
        """
        return self.history() if os.path.lexists(self.folder / HISTORY) else None


def _training(values: dict[str, Any], *, older: bool) -> TrainingConfig:
    training = TrainingConfig.from_dict(values)
    everything = older and training.method == "sweeps" and training.batch_size == 60_000
    return replace(training, batch_size=None) if everything else training
