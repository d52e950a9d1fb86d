"""The resource declarations, one file a family: reading this folder is reading the API."""

from __future__ import annotations

from rubackup.api.resource import Resource
from rubackup.resources.auth import AUTH
from rubackup.resources.client_groups import CLIENT_GROUPS
from rubackup.resources.clients import CLIENTS, LIST_CLIENT_FILESYSTEM, UNAUTHORISED_CLIENTS
from rubackup.resources.disaster_recovery_plan import DISASTER_RECOVERY_PLAN
from rubackup.resources.global_configuration import GLOBAL_CONFIGURATION
from rubackup.resources.lookups import LOOKUPS
from rubackup.resources.media_servers import MEDIA_SERVERS, MEDIA_SERVERS_WITH_TAPE, UNAUTHORISED_MEDIA_SERVERS
from rubackup.resources.pools import POOL_LIST, POOLS_FOR_COPIES, STORAGE_LOCAL_CATALOGS
from rubackup.resources.reports import NOTIFICATIONS, REPORTS
from rubackup.resources.repository import REPOSITORY, REPOSITORY_LOG, REPOSITORY_RECORD_FILE_LIST
from rubackup.resources.state import SERVER_HELLO, SERVER_STATE
from rubackup.resources.strategies import BACKUP_STRATEGIES, STRATEGY_ADMINISTRATORS, STRATEGY_RULES
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
    BACKUP_STRATEGIES,
    CLIENT_GROUPS,
    CLIENTS,
    DISASTER_RECOVERY_PLAN,
    GLOBAL_CONFIGURATION,
    MAINTAINERS,
    MEDIA_SERVERS,
    MEDIA_SERVERS_WITH_TAPE,
    POOL_LIST,
    POOLS_FOR_COPIES,
    NOTIFICATIONS,
    REPORTS,
    REPOSITORY,
    REPOSITORY_LOG,
    STORAGE_LOCAL_CATALOGS,
    STRATEGY_ADMINISTRATORS,
    STRATEGY_RULES,
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
