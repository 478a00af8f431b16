"""Operating system services for every stage: logs, threads, memory, file changes, back-off."""
