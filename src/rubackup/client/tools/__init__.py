"""The client's own tools: a local socket, what the client's process answers there, and the asking side.

The command line speaks to the socket; the process relays to the server, which answers for this client only.
"""
