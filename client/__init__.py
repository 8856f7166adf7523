"""Those who send frames: the demonstration, and the bulk tool to come."""
