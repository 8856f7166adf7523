"""Motions in the formats of other tools: a file for each format, `formats` lists them."""
