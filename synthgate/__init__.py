"""The importable face: vocabulary, errors, offline verification. Loads nothing heavy."""
