"""The resource declarations, one file a family: reading this folder is reading the API."""

from __future__ import annotations

from rubackup.api.resource import Resource
from rubackup.resources.auth import AUTH
from rubackup.resources.client_bandwidth import CLIENT_BANDWIDTH
from rubackup.resources.client_groups import CLIENT_GROUPS
from rubackup.resources.clients import CLIENTS, LIST_CLIENT_FILESYSTEM, UNAUTHORISED_CLIENTS
from rubackup.resources.disaster_recovery_plan import DISASTER_RECOVERY_PLAN
from rubackup.resources.events import EVENTS
from rubackup.resources.global_configuration import GLOBAL_CONFIGURATION
from rubackup.resources.global_schedule import GLOBAL_SCHEDULE, GLOBAL_SCHEDULE_LOG
from rubackup.resources.host_logs import CLIENTS_LOG, MEDIA_SERVERS_LOG
from rubackup.resources.inventory import LIST_CLIENT_BLOCK_DEVICES, MODULE_RESOURCE_LIST
from rubackup.resources.library_slots import LIBRARY_SLOTS
from rubackup.resources.library_tape_drives import LIBRARY_TAPE_DRIVES
from rubackup.resources.lookups import LOOKUPS
from rubackup.resources.media_servers import MEDIA_SERVERS, MEDIA_SERVERS_WITH_TAPE, UNAUTHORISED_MEDIA_SERVERS
from rubackup.resources.monitoring import SERVERS_HWID, SYSTEM_MONITORING
from rubackup.resources.pool_groups import DYNAMIC_POOL_GROUPS, DYNAMIC_POOL_GROUPS_RECORDS, POOL_SUBSTITUTION
from rubackup.resources.pools import POOL_LIST, POOLS_FOR_COPIES, STORAGE_LOCAL_CATALOGS
from rubackup.resources.reports import NOTIFICATIONS, REPORTS
from rubackup.resources.repository import REPOSITORY, REPOSITORY_LOG, REPOSITORY_RECORD_FILE_LIST
from rubackup.resources.retention import RETENTION
from rubackup.resources.rule_bandwidth import RULE_BANDWIDTH
from rubackup.resources.rule_requests import DELETE_RULE_REQUESTS, NEW_RULE_REQUESTS
from rubackup.resources.state import SERVER_HELLO, SERVER_STATE
from rubackup.resources.storages import CLIENT_DEFINED_STORAGES, STORAGE_BLOCK_DEVICES, STORAGE_CLOUDS
from rubackup.resources.strategies import BACKUP_STRATEGIES, STRATEGY_ADMINISTRATORS, STRATEGY_RULES
from rubackup.resources.tape_cartridges import TAPE_CARTRIDGES, TL_TASK_QUEUE
from rubackup.resources.tape_libraries import MEDIUM_CHANGERS, TAPE_LIBRARIES
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
from rubackup.resources.tokens import TOKENS
from rubackup.resources.users import ADMINISTRATORS, AUDITORS, MAINTAINERS, SUPERVISORS, USER_GROUPS, USERS

RESOURCES: tuple[Resource, ...] = (
    AUTH,
    ADMINISTRATORS,
    BACKUP_STRATEGIES,
    CLIENT_BANDWIDTH,
    CLIENT_DEFINED_STORAGES,
    CLIENTS,
    CLIENT_GROUPS,
    CLIENTS_LOG,
    DELETE_RULE_REQUESTS,
    DISASTER_RECOVERY_PLAN,
    DYNAMIC_POOL_GROUPS,
    DYNAMIC_POOL_GROUPS_RECORDS,
    GLOBAL_CONFIGURATION,
    GLOBAL_SCHEDULE,
    GLOBAL_SCHEDULE_LOG,
    LIBRARY_SLOTS,
    LIBRARY_TAPE_DRIVES,
    MAINTAINERS,
    MEDIA_SERVERS,
    MEDIA_SERVERS_WITH_TAPE,
    MEDIA_SERVERS_LOG,
    MEDIUM_CHANGERS,
    NEW_RULE_REQUESTS,
    NOTIFICATIONS,
    POOL_LIST,
    POOLS_FOR_COPIES,
    POOL_SUBSTITUTION,
    REPOSITORY,
    REPOSITORY_LOG,
    REPORTS,
    SYSTEM_MONITORING,
    SERVERS_HWID,
    SERVER_STATE,
    STORAGE_BLOCK_DEVICES,
    STORAGE_LOCAL_CATALOGS,
    STRATEGY_ADMINISTRATORS,
    STRATEGY_RULES,
    SUPERVISORS,
    TAPE_CARTRIDGES,
    TAPE_LIBRARIES,
    TASK_LOG,
    TASK_QUEUE,
    TL_TASK_QUEUE,
    UNAUTHORISED_CLIENTS,
    UNAUTHORISED_MEDIA_SERVERS,
    USER_GROUPS,
    USERS,
    CLIENT_TASK_INFO,
    CONTINUE_TASK,
    KILL_TASK,
    LIST_CLIENT_BLOCK_DEVICES,
    LIST_CLIENT_FILESYSTEM,
    MODULE_RESOURCE_LIST,
    PAUSE_TASK,
    REPOSITORY_RECORD_FILE_LIST,
    RESTART_TASK,
    SERVER_HELLO,
    SERVER_TASK_INFO,
    *LOOKUPS,
    AUDITORS,
    EVENTS,
    RETENTION,
    RULE_BANDWIDTH,
    STORAGE_CLOUDS,
    TOKENS,
)
"""Every family in the order of the guide, then the lookup tables, then those of our own."""
