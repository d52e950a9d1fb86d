"""Which events a caller may see: derived from the declarations, so that the log shows no more than the lists do.

A family's events need the permission to read the family. Their rows may be gone, so its scope cannot be asked of
the row; it is asked of marked callers instead: the marks that come back tell by which columns the scope decides.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from rubackup.api.resource import EVERYTHING, Resource
from rubackup.domain.permissions import Principal
from rubackup.services.events import Event

_GROUP, _MEDIA, _STRATEGY = -1, -2, -3


@dataclass(frozen=True)
class Reach:
    """What a caller may see of one family: all of it, or events about these."""

    everything: bool = False
    client_groups: frozenset[int] = frozenset()
    media_servers: frozenset[int] = frozenset()
    strategies: frozenset[int] = frozenset()

    def holds(self, event: Event) -> bool:
        """Whether an event of the family is seen. One that is about nothing in particular is not, unless all are."""
        return self.everything or (
            event.client_group_id in self.client_groups
            or event.media_server_id in self.media_servers
            or event.strategy_id in self.strategies
        )


def reach_of(resource: Resource, principal: Principal) -> Reach | None:
    """What a caller may see of a family's events; None: nothing."""
    if not principal.may(resource.read):
        return None
    if resource.scope(principal) == EVERYTHING:
        return Reach(everything=True)
    marked = replace(principal, client_group_ids=(_GROUP,), media_server_ids=(_MEDIA,), strategy_ids=(_STRATEGY,))
    marks = set(_numbers(resource.scope(marked).values))
    return Reach(
        client_groups=frozenset(principal.client_group_ids if _GROUP in marks else ()),
        media_servers=frozenset(principal.media_server_ids if _MEDIA in marks else ()),
        strategies=frozenset(principal.strategy_ids if _STRATEGY in marks else ()),
    )


def _numbers(values: Iterable[object]) -> Iterable[int]:
    for value in values:
        if isinstance(value, list | tuple):
            yield from _numbers(value)
        elif isinstance(value, int):
            yield value


@dataclass(frozen=True)
class View:
    """What one caller sees of the log."""

    reach: Mapping[str, Reach]

    @classmethod
    def of(cls, families: Mapping[str, Resource], principal: Principal, wanted: Iterable[str] = ()) -> View:
        """The caller's view of the declared families, or of those that are wanted."""
        names = set(wanted) or families.keys()
        found = {name: reach_of(families[name], principal) for name in names}
        return cls({name: reach for name, reach in found.items() if reach is not None})

    def sees(self, event: Event) -> bool:
        """Whether the caller may know of an event; a family that nobody declared is nobody's."""
        reach = self.reach.get(event.family)
        return reach is not None and reach.holds(event)
