"""How good a model is as it runs: against a reference, and on labelled pictures."""
