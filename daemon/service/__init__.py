"""What the daemon tells those who run it: systemd, health checks and metrics."""
