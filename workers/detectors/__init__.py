"""Where the people in a picture are: three detectors behind one call (`person.py`)."""
