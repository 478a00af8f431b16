"""The web page, in a process of its own; it imports no stage, and nothing else imports its packages (extra `web`)."""
