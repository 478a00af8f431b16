"""YAML configuration: schema, loading with line numbers."""
