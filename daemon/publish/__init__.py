"""MQTT: topics, payloads, the client and the publishing thread."""
