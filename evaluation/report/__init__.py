"""The report as one HTML page that opens offline."""

from evaluation.report.render import render

__all__ = ["render"]
