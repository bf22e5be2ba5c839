"""Choices and defaults that the library and the command share; imports no torch, so that help is quick."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from qmae.errors import InputError
from qmae.values import check_keys, choice, number, settle, whole

Placement = Literal["grid", "anywhere"]
"""Where the masked patch may lie. `grid`: patches tile the image, one is hidden. `anywhere`: any offset inside it."""

Readout = Literal["amplitude", "probability"]
"""What is taken for a pixel's value: sqrt(p_i), which undoes the embedding, or p_i, the basis state's probability."""

MaskToken = Literal["none", "shared", "per_position"]
"""`none` leaves the hole black (QAE); `shared` puts one learnable patch into it, wherever it is (QMAE); `per_position`
has a patch for every place of the grid."""

Bottleneck = Literal["none", "reset", "herald"]
"""What becomes of the trash. `none`: there is none, nothing is compressed. `reset`: thrown away and replaced by |0>
(paper). `herald`: measured, and only shots that give |0> are kept."""

Decoder = Literal["adjoint", "free", "none"]
"""`adjoint`: the encoder backwards (paper). `free`: a circuit with angles of its own. `none`: what leaves the
bottleneck is the output."""

Conditioning = Literal["none", "separate", "offsets"]
"""How the angles depend on where the mask is, which is known. `none`: not at all (paper). `separate`: a set for every
place. `offsets`: a common set, and one that is added for every hidden patch."""

InitialAngles = Literal["zero", "identity"]
"""Around which angles the initial ones are drawn: 0, where the paper's block is a SWAP, or those of the identity."""

Block = Literal["su4", "so4"]
"""The two-qubit block: the paper's general one of 15 rotations, or the general real one of 6."""

Network = Literal["autoencoder", "mae-small", "mae", "unet"]
"""A linear autoencoder, a masked autoencoder after He et al. in two sizes, a U-Net."""

Design = Literal["tied", "tied-tokens", "free", "channel", "unitary-per-position", "heralded", "heralded-per-position"]
"""How encoder, bottleneck and decoder of a model with free matrices are tied."""

Drawing = Literal["block", "ansatz", "training", "swap-test"]
"""The two-qubit block (Fig. 3), all of them, the whole circuit (Fig. 4), the SWAP test (Fig. 5)."""

ExportFormat = Literal["qasm3", "qasm2", "qiskit"]
"""OpenQASM 3 or 2, or the binary QPY of Qiskit."""

NoiseKind = Literal["depolarizing", "damping", "readout"]
"""After each gate on each of its qubits a depolarizing channel or amplitude damping; or wrong bits at readout."""

Split = Literal["train", "validation", "test", "all"]
"""Parts of a data set, disjoint but for `all`; what is chosen is chosen on `validation`, never on `test`."""

Overlap = Literal["swap", "inverse"]
"""How the output is compared with the original. `swap`: the paper's SWAP test, with the original on qubits of its own.
`inverse`: undo the original's preparation and measure how often all qubits are 0."""

Reset = Literal["swap", "measure"]
"""How the trash is reset. `swap`: exchanged with fresh qubits (paper). `measure`: measured and flipped back to 0."""


Preset = Literal[
    "qmae",
    "qae",
    "qmae-small",
    "qmae-plus",
    "qmae-heralded",
    "qmae-compressed",
    "autoencoder",
    "mae-small",
    "mae",
    "unet",
]
"""What `qmae train` trains: the paper's two models, four beyond it, or a classical network."""


Method = Literal["adam", "sweeps"]
"""How angles are trained. `adam`: by gradients (paper). `sweeps`: block by block, each set to the best it can be."""

MAX_EPOCHS = 10**9
"""More are refused: the schedule counts its steps in 64 bits."""

SEEDS = -(2**63), 2**63 - 1
"""The smallest and the largest seed: integers of 64 bits."""


@dataclass(frozen=True)
class TrainingConfig:
    """How a model is trained; the defaults are those of QMAE and QAE. docs/settings.md says how they were chosen.

    Attributes:
        epochs: passes over the training images.
        batch_size: images per step; None: all training images.
        learning_rate: peak of the one-cycle schedule; with `sweeps` the token's constant one.
        seed: for the order of the images and their masks.
        method: `"adam"` or `"sweeps"`.
        success_weight: what a discarded shot costs, L in the loss 1 - F + L (1 - p); 0 but for heralded models.

    Raises:
        InputError: a value of a wrong type, a number that is not positive or out of bounds, or an unknown method.
    """

    epochs: int = 3
    batch_size: int | None = 128
    learning_rate: float = 0.19
    seed: int = 0
    method: Method = "adam"
    success_weight: float = 0.0

    def __post_init__(self) -> None:
        choice(self.method, "method", Method)
        settle(
            self,
            epochs=whole(self.epochs, "number of epochs", 1, MAX_EPOCHS),
            batch_size=None if self.batch_size is None else whole(self.batch_size, "batch size", 1, 2**31),
            learning_rate=number(self.learning_rate, "learning rate"),
            seed=whole(self.seed, "seed", *SEEDS),
            success_weight=number(self.success_weight, "success weight", at_least=0),
        )
        if not self.learning_rate > 0:
            raise InputError(f"learning rate {self.learning_rate:g} must be positive: give a number above 0")

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> TrainingConfig:
        """Rebuild a config from `dataclasses.asdict`, as it stands in `config.json`.

        Raises:
            InputError: a setting is missing, unknown, of a wrong type or out of bounds.
        """
        return cls(**check_keys(values, cls, "the training's config"))


TRAINING: dict[Preset, TrainingConfig] = {
    "qmae": TrainingConfig(),
    "qae": TrainingConfig(),
    "qmae-small": TrainingConfig(300, batch_size=None, learning_rate=0.02, method="sweeps"),
    "qmae-plus": TrainingConfig(300, batch_size=None, learning_rate=0.02, method="sweeps"),
    "qmae-heralded": TrainingConfig(400, batch_size=None, learning_rate=0.02, method="sweeps"),
    "qmae-compressed": TrainingConfig(200, batch_size=None, learning_rate=0.02, method="sweeps"),
    "autoencoder": TrainingConfig(10, batch_size=64, learning_rate=0.013),
    "mae-small": TrainingConfig(5, batch_size=64, learning_rate=0.029),
    "mae": TrainingConfig(2, batch_size=256, learning_rate=0.0063),
    "unet": TrainingConfig(2, batch_size=64, learning_rate=0.013),
}
"""Those by Adam are found by the same search for each, on validation images: `qmae tune`. A sweep takes all images."""

TUNED = tuple(preset for preset, training in TRAINING.items() if training.method == "adam")
"""What `qmae tune` searches settings for."""
