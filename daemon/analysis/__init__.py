"""From what is seen in frames, and from states, to what has happened."""
