"""What a machine has, what is missing, and the command that mends it."""
