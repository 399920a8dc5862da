"""What imports SmartNoise. Runs under the interpreter of ``.venv-smartnoise`` alone, and only when fitting."""
