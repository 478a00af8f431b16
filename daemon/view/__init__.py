"""What a process beside the daemon may see of it, and ask of it, over a Unix socket: the web page's process."""
