"""The broker: decides which worker folds which frame, and when."""
