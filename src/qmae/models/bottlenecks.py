"""What becomes of the trash qubits between encoder and decoder: how it is simulated, and how it runs on a device."""

from __future__ import annotations

from collections.abc import Sequence

from jaxtyping import Float, Inexact
from torch import Tensor

from qmae._values import Registry
from qmae.simulation.encoders import Encoder

Wires = Sequence[int]


class Bottleneck:
    """A way to treat the trash qubits. After it the decoder gets the latent qubits, and fresh qubits in |0>.

    On a device it measures the trash, or swaps it with fresh qubits. Export to Qiskit and OpenQASM writes the same
    measurements, resets and SWAPs. This one does nothing and lets everything through.

    Attributes:
        has_trash: whether there is any trash.
        heralded: whether shots are discarded, by measurements that are post-selected.
        resets: whether the trash is replaced, by swaps with fresh qubits or by measured resets, as the circuit chooses.
    """

    has_trash: bool = True
    heralded: bool = False
    resets: bool = False

    def let_through(
        self, encoder: Encoder, states: Float[Tensor, "batch dim"]
    ) -> Inexact[Tensor, "batch trash latent"]:
        """Simulate encoder and bottleneck: what reaches the decoder, for every state of the trash that is let through.

        Args:
            encoder: V.
            states: the masked images, amplitude-embedded.

        Returns:
            The latent amplitudes for every basis state of the trash: together they are a mixed state. Of a heralded
            bottleneck their squared norm is the share of the shots that are kept.
        """
        return encoder.encode(states)

    def measured(self, trash: Wires, image_trash: Wires, *, swaps: bool) -> Wires:
        """Which wires it measures before the end of a circuit.

        Args:
            trash: the wires of all trash.
            image_trash: those of them that hold pixels; a decoder needs fresh qubits for them.
            swaps: whether the circuit brings fresh qubits to swap with.
        """
        return ()

    def run(self, measured: Wires, image_trash: Wires, fresh: Wires) -> None:
        """Queue its PennyLane operations.

        Args:
            measured: what `measured` says.
            image_trash: the wires of the trash that holds pixels.
            fresh: as many wires in |0>; none, if there is nothing to swap.
        """


class NoBottleneck(Bottleneck):
    """There is no trash: nothing is compressed."""

    has_trash = False


class Reset(Bottleneck):
    """The trash is thrown away, whatever its state, and replaced by |0> (Section 3.1 of the paper)."""

    resets = True

    def measured(self, trash: Wires, image_trash: Wires, *, swaps: bool) -> Wires:
        """The trash that holds pixels, unless it is swapped."""
        return () if swaps else image_trash

    def run(self, measured: Wires, image_trash: Wires, fresh: Wires) -> None:
        """Swap the trash with fresh qubits, or measure it and flip it to |0>."""
        import pennylane as qp

        for wire in measured:
            qp.measure(wire, reset=True)
        for new, wire in zip(fresh, image_trash, strict=False):
            qp.SWAP(wires=[new, wire])


class Herald(Bottleneck):
    """The trash is measured, and only shots that give |0> are kept: they herald success."""

    heralded = True

    def let_through(
        self, encoder: Encoder, states: Float[Tensor, "batch dim"]
    ) -> Inexact[Tensor, "batch trash latent"]:
        """The latent amplitudes for the trash in |0> alone."""
        return encoder.keep(states)[:, None]

    def measured(self, trash: Wires, image_trash: Wires, *, swaps: bool) -> Wires:
        """All trash."""
        return trash

    def run(self, measured: Wires, image_trash: Wires, fresh: Wires) -> None:
        """Measure, and post-select on 0."""
        import pennylane as qp

        for wire in measured:
            qp.measure(wire, postselect=0)


BOTTLENECKS: Registry[Bottleneck] = Registry(
    "bottleneck", Bottleneck, {"none": NoBottleneck(), "reset": Reset(), "herald": Herald()}
)
"""The bottlenecks by name. `BOTTLENECKS.register(name, ...)` adds one, which models and circuits then know."""
