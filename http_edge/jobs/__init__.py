"""Video jobs: a queue of videos, and the program that sends them through the broker frame by frame."""
