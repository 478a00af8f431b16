"""Opens what a camera's `source` names, each kind of it in a file of its own."""
