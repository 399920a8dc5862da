"""The report: one typed document, as JSON, as a page that opens offline, and as a decision page for paper."""

from evaluation.report.compose import compose
from evaluation.report.document import Document
from evaluation.report.judged import House
from evaluation.report.render import decision_page, page

__all__ = ["Document", "House", "compose", "decision_page", "page"]
