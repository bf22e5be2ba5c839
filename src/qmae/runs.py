"""Run folders: what was trained, with which settings, on which data; enough to repeat it or go on with it."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from qmae.ceiling import FreeConfig, FreeModel
from qmae.classical import ClassicalConfig, ClassicalModel
from qmae.config import PRESETS, ModelConfig
from qmae.errors import InputError
from qmae.files import new_folder, write_atomically
from qmae.images import load_images
from qmae.masking import PatchMask
from qmae.models import CONFIG, SHIPPED, WEIGHTS, MaskedAutoencoder, load_pretrained, locate, packaged
from qmae.optimizers import Trainable
from qmae.progress import Progress, silent
from qmae.settings import Preset, TrainingConfig
from qmae.training import CHECKPOINT, HISTORY, History, train

Config = ModelConfig | ClassicalConfig | FreeConfig
"""What a run trains: a quantum model, a classical network, or a design with free matrices."""


@dataclass(frozen=True)
class Run:
    """One training run and its folder.

    The folder holds `config.json`, `model.safetensors`, `history.csv` and, until training is finished,
    `checkpoint.pt`.

    Attributes:
        folder: where the run lies.
        model: the model's config.
        training: the settings of the training; their seed is that of the initial angles, too. None in a folder of
            `save_pretrained`, which does not say how the model was trained, nor on what.
        data: what it is trained on, as `load_images` takes it.
    """

    folder: Path
    model: Config
    training: TrainingConfig | None
    data: str = "mnist"

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
            content = json.loads((folder / CONFIG).read_text())
            return cls(
                folder,
                _config(content["model"]),
                TrainingConfig(**content["training"]) if "training" in content else None,
                content.get("data", "mnist"),
            )
        except TypeError as error:
            raise InputError(f"{folder} is of another version of qmae ({error}): train it anew by this one") from error
        except (OSError, KeyError, ValueError) as error:
            raise InputError(f"{folder} holds no training run ({error}): give the folder of `qmae train`") from error

    @property
    def finished(self) -> bool:
        """Whether all epochs are trained."""
        return (self.folder / WEIGHTS).exists() and not (self.folder / CHECKPOINT).exists()

    def train(self, *, device: torch.device | str = "cpu", progress: Progress = silent) -> Trainable:
        """Train from the start, or go on where an earlier training stopped; a finished run is only loaded.

        If it is interrupted before its first epoch is finished, the folder is removed: it would hold nothing.

        Args:
            device: where to compute.
            progress: told of every step.

        Raises:
            InputError: the folder holds something else, or cannot be written; or the data cannot be used.
        """
        self.check_settings()
        if self.finished:
            return self.load()
        size = self.model.patch.image_size
        images, validation = (load_images(self.data, split=s, size=size)[0] for s in ("train", "validation"))
        model = _build(self.model, seed=self.training.seed)
        if not (self.folder / CONFIG).exists():
            new_folder(self.folder)
        try:
            content = {"model": asdict(self.model), "training": asdict(self.training), "data": self.data}
            write_atomically(self.folder / CONFIG, json.dumps(content, indent=2) + "\n")
            train(model, images, validation, self.training, folder=self.folder, device=device, progress=progress)
        except BaseException:
            self._remove_if_nothing_is_trained()
            raise
        return model

    def _remove_if_nothing_is_trained(self) -> None:
        if not any((self.folder / name).exists() for name in (CHECKPOINT, WEIGHTS)):
            (self.folder / CONFIG).unlink(missing_ok=True)
            with suppress(OSError):  # somebody else's files lie there, too
                self.folder.rmdir()

    def check_settings(self) -> None:
        """Refuse a folder that holds another run than this one.

        Raises:
            InputError: its model, training or data differ.
        """
        if (self.folder / CONFIG).exists() and Run.open(self.folder) != self:
            raise InputError(f"{self.folder} holds a run with other settings: choose another --out")

    def load(self) -> Trainable:
        """Load the model of the last finished epoch.

        Raises:
            InputError: there is none.
        """
        return load_model(self.folder)

    @property
    def is_packaged(self) -> bool:
        """Whether it is a model that the package brings."""
        return self.folder.name in SHIPPED and self.folder == packaged(self.folder.name)

    @property
    def seconds(self) -> float | None:
        """Time that it was trained; None of models of the package and of `save_pretrained`, which have no history.

        Raises:
            InputError: there is no history where there should be one.
        """
        return None if self.training is None or self.is_packaged else self.history().column("seconds")[-1]

    def history(self) -> History:
        """Read `history.csv`.

        Raises:
            InputError: there is none, since no epoch is finished, or it is damaged.
        """
        try:
            return History.from_csv((self.folder / HISTORY).read_text())
        except (OSError, ValueError) as error:
            raise InputError(
                f"{self.folder} has no history.csv that can be read, as models of the package have none: train one, "
                "or an interrupted one by --resume"
            ) from error


def preset_config(preset: Preset, patch: PatchMask, **settings: Any) -> ModelConfig | ClassicalConfig:
    """The config of a preset: a quantum model, or a classical network.

    Args:
        preset: which.
        patch: the masks it is made for.
        **settings: fields of `ModelConfig` in the place of the preset's.

    Raises:
        InputError: settings that do not go together, or any for a classical network.
    """
    if preset in PRESETS:
        return ModelConfig.preset(preset, patch, **settings)
    if settings:
        names = ", ".join("--" + name.replace("_", "-") for name in settings)
        raise InputError(f"{names}: of a circuit, which {preset} has none of; leave it out")
    return ClassicalConfig(patch, preset)  # pyright: ignore[reportArgumentType]


def load_model(folder: Path) -> Trainable:
    """Load a model of any kind from its folder.

    Raises:
        InputError: no such folder, or it holds no model.
    """
    return load_pretrained(folder, lambda config: _build(_config(config), seed=0))


def _config(values: dict[str, Any]) -> Config:
    kind = ClassicalConfig if "network" in values else FreeConfig if "design" in values else ModelConfig
    return kind.from_dict(values)


def _build(config: Config, *, seed: int) -> Trainable:
    generator = torch.Generator().manual_seed(seed)
    match config:
        case ModelConfig():
            return MaskedAutoencoder(config, generator=generator)
        case ClassicalConfig():
            return ClassicalModel(config, generator=generator)
        case FreeConfig():
            return FreeModel(config, generator=generator)
