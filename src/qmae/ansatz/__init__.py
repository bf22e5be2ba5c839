"""The circuit as data, without torch and PennyLane: two-qubit blocks, and which of them act where."""
