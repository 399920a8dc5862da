"""Noise, what it costs, and how much of it a budget asks for."""
