"""The server with thousands of clients and a queue of a million tasks."""
