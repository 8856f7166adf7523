"""The HTTP edge: HTTP in, wire messages out; the JSON contract. It decodes no pixels."""
