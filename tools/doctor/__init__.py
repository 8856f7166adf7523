"""Looks at this machine, its settings and its files, and says what would keep the service from working.

`gather.py` finds out, `facts.py` is what it found, `checks.py` judges that without looking at anything
itself, `report.py` prints. `python -m tools.doctor` or `make doctor` puts them together.
"""
