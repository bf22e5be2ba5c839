"""The same models as PennyLane circuits: devices, gradients, shots, noise, Qiskit, resources, drawings."""
