"""What client and media server share: the link to the servers, and tasks running in threads.

Knows no catalogue, no storage and no resource; speaks `wire` only.
"""
