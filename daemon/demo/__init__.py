"""The demonstration: a filmed street, an embedded broker, a subscriber."""
