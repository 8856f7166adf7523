"""Every agreement between the programs; imports nothing else of ours."""
