"""Graphical models over groups of codes: junction trees, estimation from noisy tables, sampling. Numpy alone."""
