"""Contingency tables: counting, making noisy ones consistent, drawing from them."""
