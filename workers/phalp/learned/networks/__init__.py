"""PHALP's two networks, and the official files that they come in. Nothing else of PHALP knows torch."""
