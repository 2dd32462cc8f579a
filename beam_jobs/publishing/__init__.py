"""Put finished files where readers look."""
