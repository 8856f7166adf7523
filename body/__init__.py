"""SMPL-format bodies: pose and shape in, vertices and joints out."""
