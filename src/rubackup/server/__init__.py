"""The primary server: control listener, dispatcher, leases."""
