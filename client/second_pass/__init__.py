"""A second look at a video's answers, once all are there: each frame knows what came after it as well."""
