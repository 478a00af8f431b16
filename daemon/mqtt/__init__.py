"""The connection to the broker: a client on paho that knows topics and bytes, and no payload."""
