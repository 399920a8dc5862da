"""The declared domain as integer codes and as Arrow columns."""
