"""The experiments, their results as plain records."""
