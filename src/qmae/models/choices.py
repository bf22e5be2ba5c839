"""Choices of which models are made; imports no torch, so that help is quick."""

from __future__ import annotations

from typing import Literal

MaskToken = Literal["none", "shared", "per_position"]
"""`none` leaves the hole black (QAE); `shared` puts one learnable patch into it, wherever it is (QMAE); `per_position`
has one for every position of the grid."""


Decoder = Literal["adjoint", "free", "none"]
"""`adjoint`: the encoder backwards (paper). `free`: a circuit with angles of its own. `none`: what leaves the
bottleneck is the output."""


Conditioning = Literal["none", "separate", "offsets"]
"""How the angles depend on the position of the mask, which is known. `none`: not at all (paper). `separate`: a set for
every position. `offsets`: a common set, and one that is added for every hidden patch."""


InitialAngles = Literal["zero", "identity"]
"""The mean of the initial angles. `zero`: the paper's block is a SWAP there. `identity`: a block is the identity."""


Design = Literal["tied", "tied-tokens", "free", "channel", "unitary-per-position", "heralded", "heralded-per-position"]
"""How encoder, bottleneck and decoder of a model with free matrices are tied."""


Kind = Literal["quantum", "network", "design", "baseline", "original"]
"""What a model is: a quantum circuit, a classical network, free matrices, a way to fill the hole, the original."""
