"""Metrics with intervals, trivial baselines and the HTML report: numpy and scikit-learn only."""
