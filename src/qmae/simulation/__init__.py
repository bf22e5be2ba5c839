"""Exact, batched simulation of the autoencoder on n qubits instead of the training circuit's 2n + 2.

The reset of the trash qubits and the SWAP test need no further qubits: with y = V |input> and z = V |reference>,
their indices split into (trash k, latent l),

    F = sum_k | sum_l conj(z[0, l]) y[k, l] |^2

is the expectation value of the SWAP test (Eq. 8) after the trash is replaced by |0> and V^dagger applied:
only the part of V |reference> with trash |0> can overlap with the decoder's input.

`blocks` turns angles into two-qubit matrices, `fusion` those into few unitaries on four qubits, and an encoder
applies these to images: as one dense matrix V, the same for the whole batch, where the qubits are few and the images
many; otherwise one after the other to state vectors.

Bit order: qubit 0 is the most significant bit of an index.
"""
