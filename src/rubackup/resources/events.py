"""The event log, as a stream."""

from __future__ import annotations

from rubackup.api import streams
from rubackup.api.resource import Action, Answer, Resource
from rubackup.domain.permissions import Permission
from rubackup.services.events import Told

EVENTS = Resource(
    path="events",
    name="Events",
    tag="Events",
    summary="What changes, as it happens",
    read=Permission.READ_EVENTS,
    actions=(
        Action(
            "GET", "", "Follow what changes: server-sent events", Permission.READ_EVENTS, endpoint=streams.event_stream,
            answer=Answer.OBJECT, row=Told, media="text/event-stream", query=streams.EventQuery, mutates=False,
            operation_id="follow_events",
            headers={
                "Last-Event-ID": "The id of the last event that was seen: the stream goes on after it. "
                "Left out: from now on."
            },
            statuses={
                200: "Events without a name, whose data is an object as shown; `reset`: events were missed, read anew "
                "what is shown; `end`: the stream ends, and why. A comment every 15 seconds",
                429: "The user has too many event streams; see Retry-After",
            },
        ),
    ),
)  # fmt: skip
