"""What the daemon asks of the machine it runs on: logs, threads, memory, files. It knows no stage."""
