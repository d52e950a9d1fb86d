"""The resource declarations, one file a family: reading this folder is reading the API."""

from __future__ import annotations

from rubackup.api.resource import Resource
from rubackup.resources.auth import AUTH
from rubackup.resources.client_groups import CLIENT_GROUPS
from rubackup.resources.clients import CLIENTS, LIST_CLIENT_FILESYSTEM, UNAUTHORISED_CLIENTS
from rubackup.resources.global_configuration import GLOBAL_CONFIGURATION
from rubackup.resources.global_schedule import GLOBAL_SCHEDULE, GLOBAL_SCHEDULE_LOG
from rubackup.resources.lookups import LOOKUPS
from rubackup.resources.media_servers import MEDIA_SERVERS, MEDIA_SERVERS_WITH_TAPE, UNAUTHORISED_MEDIA_SERVERS
from rubackup.resources.pools import POOL_LIST, POOLS_FOR_COPIES, STORAGE_LOCAL_CATALOGS
from rubackup.resources.repository import REPOSITORY, REPOSITORY_LOG, REPOSITORY_RECORD_FILE_LIST
from rubackup.resources.state import SERVER_HELLO, SERVER_STATE
from rubackup.resources.task_queue import (
    CLIENT_TASK_INFO,
    CONTINUE_TASK,
    KILL_TASK,
    PAUSE_TASK,
    RESTART_TASK,
    SERVER_TASK_INFO,
    TASK_LOG,
    TASK_QUEUE,
)
from rubackup.resources.users import ADMINISTRATORS, AUDITORS, MAINTAINERS, SUPERVISORS, USER_GROUPS, USERS

RESOURCES: tuple[Resource, ...] = (
    AUTH,
    ADMINISTRATORS,
    AUDITORS,
    CLIENT_GROUPS,
    CLIENTS,
    GLOBAL_CONFIGURATION,
    GLOBAL_SCHEDULE,
    GLOBAL_SCHEDULE_LOG,
    MAINTAINERS,
    MEDIA_SERVERS,
    MEDIA_SERVERS_WITH_TAPE,
    POOL_LIST,
    POOLS_FOR_COPIES,
    REPOSITORY,
    REPOSITORY_LOG,
    STORAGE_LOCAL_CATALOGS,
    SUPERVISORS,
    TASK_LOG,
    TASK_QUEUE,
    UNAUTHORISED_CLIENTS,
    UNAUTHORISED_MEDIA_SERVERS,
    USER_GROUPS,
    USERS,
    *LOOKUPS,
    SERVER_STATE,
    CLIENT_TASK_INFO,
    CONTINUE_TASK,
    KILL_TASK,
    LIST_CLIENT_FILESYSTEM,
    PAUSE_TASK,
    REPOSITORY_RECORD_FILE_LIST,
    RESTART_TASK,
    SERVER_HELLO,
    SERVER_TASK_INFO,
)
"""Every family, in the order of the guide."""
