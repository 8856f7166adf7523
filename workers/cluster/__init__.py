"""Workers on many machines, placed and restarted by Ray: `python -m workers.cluster`."""
