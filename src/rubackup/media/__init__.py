"""The media server: pools, data sessions, verification."""
