"""What models are: quantum autoencoders, networks, free matrices, baselines; their configs and files."""
