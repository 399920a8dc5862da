"""DP-SGD: Poisson sampling of units, per-unit clipping, a fixed number of noisy steps."""
