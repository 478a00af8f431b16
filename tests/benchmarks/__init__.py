"""Long measurements: each is a command, and has a short version among the tests."""
