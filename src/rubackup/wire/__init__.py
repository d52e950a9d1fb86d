"""What server, media server and client say to each other: messages, framing, mutual TLS.

Knows no catalogue and no chunk store. The protocol is written in `docs/design/wire.md`.
"""
