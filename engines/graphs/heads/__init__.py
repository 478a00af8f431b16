"""One file a model family: raw outputs to canonical outputs."""
