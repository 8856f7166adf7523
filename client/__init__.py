"""Those who send frames: the bulk command, the client for Python, the exports, the demonstration."""
