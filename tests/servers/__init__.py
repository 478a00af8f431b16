"""Real servers for tests, each on a free port, and the programs that look at what they carry."""
