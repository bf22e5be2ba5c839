"""Choose the settings of the training on the validation images; prints the table of docs/settings.md.

    python scripts/choose_settings.py

Each setting is varied alone, both models with the same budget; the test images are not read.
"""

from statistics import mean, stdev
from typing import Any

import torch

from qmae import MaskedAutoencoder, TrainingConfig, load_images, train

SEEDS = (0, 1)
CENTRE = {"initial_spread": 0.1, "learning_rate": 0.05, "batch_size": 256, "epochs": 10}
CHOICES = {
    "initial_spread": (0.01, 0.5, 2.0),
    "learning_rate": (0.005, 0.02, 0.1),
    "batch_size": (64, 1024),
    "epochs": (3, 5, 28),
}


def validation_fidelity(preset: str, images: tuple, seed: int, initial_spread: float, **settings: Any) -> tuple:
    """Mean fidelity on the validation images after training, and the seconds it took."""
    model = MaskedAutoencoder.from_preset(preset, seed=seed, initial_spread=initial_spread)
    history = train(model, *images, config=TrainingConfig(seed=seed, **settings))
    return history.column("validation_fidelity")[-1], history.column("seconds")[-1]


def main() -> None:
    """Print one row per setting."""
    torch.set_num_threads(2)
    images = tuple(load_images(split=split)[0] for split in ("train", "validation"))
    print("| initial spread | learning rate | batch size | epochs | QMAE | QAE | seconds |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    varied = [CENTRE | {name: value} for name, values in CHOICES.items() for value in values]
    for settings in [CENTRE, *varied]:
        cells = [f"{value:g}" for value in settings.values()]
        seconds = []
        for preset in ("qmae", "qae"):
            fidelities, times = zip(*(validation_fidelity(preset, images, s, **settings) for s in SEEDS), strict=True)
            cells.append(f"{mean(fidelities):.4f} ± {stdev(fidelities):.4f}")
            seconds += times
        print("| " + " | ".join([*cells, f"{mean(seconds):.0f}"]) + " |", flush=True)


if __name__ == "__main__":
    main()
