"""Scores that are computed, not estimated: both ends equal the value."""

from synthgate.report import Better, Score


def exact(name: str, value: float, *, better: Better = Better.LOWER, note: str = "") -> Score:
    """A figure that these three tables have, whatever other tables of the same people would have."""
    return Score(name=name, value=value, low=value, high=value, better=better, note=note)
