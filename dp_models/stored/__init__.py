"""Fitted models as files, and what is asked of them later."""
