"""The daemon as a whole: start, reload, and the one way to stop; it wires the stages together."""
