"""The models that are installed, and how they come here."""
