"""Evaluating a session: agreement with a reference, and accuracy on labelled images."""
