"""What commands do beside running the daemon."""
