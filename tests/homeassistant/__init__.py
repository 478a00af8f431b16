"""A real Home Assistant beside the daemon."""
