"""Measuring: metrics, the classifier, rows of results, comparisons."""
