"""Measures: accuracy, alignment, robustness, cost, energy, plausibility."""
