"""Events on disk until the broker has acknowledged them; of their payloads it knows the `replayed` flag only."""
