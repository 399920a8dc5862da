"""One file per synthesizer, found through the entry-point group ``synthgate.engines``."""
