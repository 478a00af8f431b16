"""Commands from outside: parsed, executed one after the other, and answered."""
