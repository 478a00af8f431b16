"""Whatever needs pixels after inference: snapshots and drawing."""
