"""Programs beside the daemon that its commands are made of."""
