"""The workers: see people in frames, follow them through time, give their bodies."""
