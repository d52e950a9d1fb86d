"""The families of the API. Made by scripts/generate-client from docs/openapi.json. Do not edit."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from rubackup.sdk.caller import Caller

if TYPE_CHECKING:
    from rubackup.sdk.api.administrators import Administrators
    from rubackup.sdk.api.auditors import Auditors
    from rubackup.sdk.api.backup_strategies import BackupStrategies
    from rubackup.sdk.api.backup_types import BackupTypes
    from rubackup.sdk.api.calls import Calls
    from rubackup.sdk.api.client_bandwidth import ClientBandwidth
    from rubackup.sdk.api.client_defined_storages import ClientDefinedStorages
    from rubackup.sdk.api.client_groups import ClientGroups
    from rubackup.sdk.api.clients import Clients
    from rubackup.sdk.api.clients_log import ClientsLog
    from rubackup.sdk.api.compression_type import CompressionType
    from rubackup.sdk.api.crypto import Crypto
    from rubackup.sdk.api.deduplication_hash_algorithm import DeduplicationHashAlgorithm
    from rubackup.sdk.api.delete_rule_requests import DeleteRuleRequests
    from rubackup.sdk.api.destination_storage_types import DestinationStorageTypes
    from rubackup.sdk.api.disaster_recovery_plan import DisasterRecoveryPlan
    from rubackup.sdk.api.disaster_recovery_record_status import (
        DisasterRecoveryRecordStatus,
    )
    from rubackup.sdk.api.dynamic_pool_groups import DynamicPoolGroups
    from rubackup.sdk.api.dynamic_pool_groups_records import DynamicPoolGroupsRecords
    from rubackup.sdk.api.global_configuration import GlobalConfiguration
    from rubackup.sdk.api.global_schedule import GlobalSchedule
    from rubackup.sdk.api.global_schedule_log import GlobalScheduleLog
    from rubackup.sdk.api.library_slots import LibrarySlots
    from rubackup.sdk.api.library_tape_drives import LibraryTapeDrives
    from rubackup.sdk.api.license_types import LicenseTypes
    from rubackup.sdk.api.maintainers import Maintainers
    from rubackup.sdk.api.media_servers import MediaServers
    from rubackup.sdk.api.media_servers_log import MediaServersLog
    from rubackup.sdk.api.medium_changers import MediumChangers
    from rubackup.sdk.api.new_rule_requests import NewRuleRequests
    from rubackup.sdk.api.notifications import Notifications
    from rubackup.sdk.api.notifications_status import NotificationsStatus
    from rubackup.sdk.api.os_types import OsTypes
    from rubackup.sdk.api.pool_list import PoolList
    from rubackup.sdk.api.pool_substitution import PoolSubstitution
    from rubackup.sdk.api.reports import Reports
    from rubackup.sdk.api.repository import Repository
    from rubackup.sdk.api.repository_log import RepositoryLog
    from rubackup.sdk.api.resource_types import ResourceTypes
    from rubackup.sdk.api.retention import Retention
    from rubackup.sdk.api.rubackup_server_system_monitoring import (
        RubackupServerSystemMonitoring,
    )
    from rubackup.sdk.api.rule_bandwidth import RuleBandwidth
    from rubackup.sdk.api.servers_hw_id_tmp import ServersHwIdTmp
    from rubackup.sdk.api.status_of_rule import StatusOfRule
    from rubackup.sdk.api.storage_block_devices import StorageBlockDevices
    from rubackup.sdk.api.storage_clouds import StorageClouds
    from rubackup.sdk.api.storage_local_catalogs import StorageLocalCatalogs
    from rubackup.sdk.api.strategy_administrators import StrategyAdministrators
    from rubackup.sdk.api.strategy_rules import StrategyRules
    from rubackup.sdk.api.supervisors import Supervisors
    from rubackup.sdk.api.tape_cartridges import TapeCartridges
    from rubackup.sdk.api.tape_libraries import TapeLibraries
    from rubackup.sdk.api.tape_types import TapeTypes
    from rubackup.sdk.api.task_log import TaskLog
    from rubackup.sdk.api.task_queue import TaskQueue
    from rubackup.sdk.api.task_status import TaskStatus
    from rubackup.sdk.api.tl_task_queue import TlTaskQueue
    from rubackup.sdk.api.tokens import Tokens
    from rubackup.sdk.api.unauthorised_clients import UnauthorisedClients
    from rubackup.sdk.api.unauthorised_media_servers import UnauthorisedMediaServers
    from rubackup.sdk.api.user_groups import UserGroups
    from rubackup.sdk.api.users import Users
    from rubackup.sdk.api.verification_status import VerificationStatus


VERSION = "2.0.0"
"""Version of the API that it was made for."""


class Families:
    """Every family as an attribute."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    @cached_property
    def administrators(self) -> Administrators:
        """`/administrators`."""
        from rubackup.sdk.api.administrators import Administrators as made

        return made(self._caller)

    @cached_property
    def auditors(self) -> Auditors:
        """`/auditors`."""
        from rubackup.sdk.api.auditors import Auditors as made

        return made(self._caller)

    @cached_property
    def backup_strategies(self) -> BackupStrategies:
        """`/backup_strategies`."""
        from rubackup.sdk.api.backup_strategies import BackupStrategies as made

        return made(self._caller)

    @cached_property
    def backup_types(self) -> BackupTypes:
        """`/backup_types`."""
        from rubackup.sdk.api.backup_types import BackupTypes as made

        return made(self._caller)

    @cached_property
    def client_bandwidth(self) -> ClientBandwidth:
        """`/client_bandwidth`."""
        from rubackup.sdk.api.client_bandwidth import ClientBandwidth as made

        return made(self._caller)

    @cached_property
    def client_defined_storages(self) -> ClientDefinedStorages:
        """`/client_defined_storages`."""
        from rubackup.sdk.api.client_defined_storages import (
            ClientDefinedStorages as made,
        )

        return made(self._caller)

    @cached_property
    def client_groups(self) -> ClientGroups:
        """`/client_groups`."""
        from rubackup.sdk.api.client_groups import ClientGroups as made

        return made(self._caller)

    @cached_property
    def clients(self) -> Clients:
        """`/clients`."""
        from rubackup.sdk.api.clients import Clients as made

        return made(self._caller)

    @cached_property
    def clients_log(self) -> ClientsLog:
        """`/clients_log`."""
        from rubackup.sdk.api.clients_log import ClientsLog as made

        return made(self._caller)

    @cached_property
    def compression_type(self) -> CompressionType:
        """`/compression_type`."""
        from rubackup.sdk.api.compression_type import CompressionType as made

        return made(self._caller)

    @cached_property
    def crypto(self) -> Crypto:
        """`/crypto`."""
        from rubackup.sdk.api.crypto import Crypto as made

        return made(self._caller)

    @cached_property
    def deduplication_hash_algorithm(self) -> DeduplicationHashAlgorithm:
        """`/deduplication_hash_algorithm`."""
        from rubackup.sdk.api.deduplication_hash_algorithm import (
            DeduplicationHashAlgorithm as made,
        )

        return made(self._caller)

    @cached_property
    def delete_rule_requests(self) -> DeleteRuleRequests:
        """`/delete_rule_requests`."""
        from rubackup.sdk.api.delete_rule_requests import DeleteRuleRequests as made

        return made(self._caller)

    @cached_property
    def destination_storage_types(self) -> DestinationStorageTypes:
        """`/destination_storage_types`."""
        from rubackup.sdk.api.destination_storage_types import (
            DestinationStorageTypes as made,
        )

        return made(self._caller)

    @cached_property
    def disaster_recovery_plan(self) -> DisasterRecoveryPlan:
        """`/disaster_recovery_plan`."""
        from rubackup.sdk.api.disaster_recovery_plan import DisasterRecoveryPlan as made

        return made(self._caller)

    @cached_property
    def disaster_recovery_record_status(self) -> DisasterRecoveryRecordStatus:
        """`/disaster_recovery_record_status`."""
        from rubackup.sdk.api.disaster_recovery_record_status import (
            DisasterRecoveryRecordStatus as made,
        )

        return made(self._caller)

    @cached_property
    def dynamic_pool_groups(self) -> DynamicPoolGroups:
        """`/dynamic_pool_groups`."""
        from rubackup.sdk.api.dynamic_pool_groups import DynamicPoolGroups as made

        return made(self._caller)

    @cached_property
    def dynamic_pool_groups_records(self) -> DynamicPoolGroupsRecords:
        """`/dynamic_pool_groups_records`."""
        from rubackup.sdk.api.dynamic_pool_groups_records import (
            DynamicPoolGroupsRecords as made,
        )

        return made(self._caller)

    @cached_property
    def global_configuration(self) -> GlobalConfiguration:
        """`/global_configuration`."""
        from rubackup.sdk.api.global_configuration import GlobalConfiguration as made

        return made(self._caller)

    @cached_property
    def global_schedule(self) -> GlobalSchedule:
        """`/global_schedule`."""
        from rubackup.sdk.api.global_schedule import GlobalSchedule as made

        return made(self._caller)

    @cached_property
    def global_schedule_log(self) -> GlobalScheduleLog:
        """`/global_schedule_log`."""
        from rubackup.sdk.api.global_schedule_log import GlobalScheduleLog as made

        return made(self._caller)

    @cached_property
    def library_slots(self) -> LibrarySlots:
        """`/library_slots`."""
        from rubackup.sdk.api.library_slots import LibrarySlots as made

        return made(self._caller)

    @cached_property
    def library_tape_drives(self) -> LibraryTapeDrives:
        """`/library_tape_drives`."""
        from rubackup.sdk.api.library_tape_drives import LibraryTapeDrives as made

        return made(self._caller)

    @cached_property
    def license_types(self) -> LicenseTypes:
        """`/license_types`."""
        from rubackup.sdk.api.license_types import LicenseTypes as made

        return made(self._caller)

    @cached_property
    def maintainers(self) -> Maintainers:
        """`/maintainers`."""
        from rubackup.sdk.api.maintainers import Maintainers as made

        return made(self._caller)

    @cached_property
    def media_servers(self) -> MediaServers:
        """`/media_servers`."""
        from rubackup.sdk.api.media_servers import MediaServers as made

        return made(self._caller)

    @cached_property
    def media_servers_log(self) -> MediaServersLog:
        """`/media_servers_log`."""
        from rubackup.sdk.api.media_servers_log import MediaServersLog as made

        return made(self._caller)

    @cached_property
    def medium_changers(self) -> MediumChangers:
        """`/medium_changers`."""
        from rubackup.sdk.api.medium_changers import MediumChangers as made

        return made(self._caller)

    @cached_property
    def new_rule_requests(self) -> NewRuleRequests:
        """`/new_rule_requests`."""
        from rubackup.sdk.api.new_rule_requests import NewRuleRequests as made

        return made(self._caller)

    @cached_property
    def notifications(self) -> Notifications:
        """`/notifications`."""
        from rubackup.sdk.api.notifications import Notifications as made

        return made(self._caller)

    @cached_property
    def notifications_status(self) -> NotificationsStatus:
        """`/notifications_status`."""
        from rubackup.sdk.api.notifications_status import NotificationsStatus as made

        return made(self._caller)

    @cached_property
    def os_types(self) -> OsTypes:
        """`/os_types`."""
        from rubackup.sdk.api.os_types import OsTypes as made

        return made(self._caller)

    @cached_property
    def pool_list(self) -> PoolList:
        """`/pool_list`."""
        from rubackup.sdk.api.pool_list import PoolList as made

        return made(self._caller)

    @cached_property
    def pool_substitution(self) -> PoolSubstitution:
        """`/pool_substitution`."""
        from rubackup.sdk.api.pool_substitution import PoolSubstitution as made

        return made(self._caller)

    @cached_property
    def reports(self) -> Reports:
        """`/reports`."""
        from rubackup.sdk.api.reports import Reports as made

        return made(self._caller)

    @cached_property
    def repository(self) -> Repository:
        """`/repository`."""
        from rubackup.sdk.api.repository import Repository as made

        return made(self._caller)

    @cached_property
    def repository_log(self) -> RepositoryLog:
        """`/repository_log`."""
        from rubackup.sdk.api.repository_log import RepositoryLog as made

        return made(self._caller)

    @cached_property
    def resource_types(self) -> ResourceTypes:
        """`/resource_types`."""
        from rubackup.sdk.api.resource_types import ResourceTypes as made

        return made(self._caller)

    @cached_property
    def retention(self) -> Retention:
        """`/retention`."""
        from rubackup.sdk.api.retention import Retention as made

        return made(self._caller)

    @cached_property
    def rubackup_server_system_monitoring(self) -> RubackupServerSystemMonitoring:
        """`/rubackup_server_system_monitoring`."""
        from rubackup.sdk.api.rubackup_server_system_monitoring import (
            RubackupServerSystemMonitoring as made,
        )

        return made(self._caller)

    @cached_property
    def rule_bandwidth(self) -> RuleBandwidth:
        """`/rule_bandwidth`."""
        from rubackup.sdk.api.rule_bandwidth import RuleBandwidth as made

        return made(self._caller)

    @cached_property
    def servers_hw_id_tmp(self) -> ServersHwIdTmp:
        """`/servers_hw_id_tmp`."""
        from rubackup.sdk.api.servers_hw_id_tmp import ServersHwIdTmp as made

        return made(self._caller)

    @cached_property
    def status_of_rule(self) -> StatusOfRule:
        """`/status_of_rule`."""
        from rubackup.sdk.api.status_of_rule import StatusOfRule as made

        return made(self._caller)

    @cached_property
    def storage_block_devices(self) -> StorageBlockDevices:
        """`/storage_block_devices`."""
        from rubackup.sdk.api.storage_block_devices import StorageBlockDevices as made

        return made(self._caller)

    @cached_property
    def storage_clouds(self) -> StorageClouds:
        """`/storage_clouds`."""
        from rubackup.sdk.api.storage_clouds import StorageClouds as made

        return made(self._caller)

    @cached_property
    def storage_local_catalogs(self) -> StorageLocalCatalogs:
        """`/storage_local_catalogs`."""
        from rubackup.sdk.api.storage_local_catalogs import StorageLocalCatalogs as made

        return made(self._caller)

    @cached_property
    def strategy_administrators(self) -> StrategyAdministrators:
        """`/strategy_administrators`."""
        from rubackup.sdk.api.strategy_administrators import (
            StrategyAdministrators as made,
        )

        return made(self._caller)

    @cached_property
    def strategy_rules(self) -> StrategyRules:
        """`/strategy_rules`."""
        from rubackup.sdk.api.strategy_rules import StrategyRules as made

        return made(self._caller)

    @cached_property
    def supervisors(self) -> Supervisors:
        """`/supervisors`."""
        from rubackup.sdk.api.supervisors import Supervisors as made

        return made(self._caller)

    @cached_property
    def tape_cartridges(self) -> TapeCartridges:
        """`/tape_cartridges`."""
        from rubackup.sdk.api.tape_cartridges import TapeCartridges as made

        return made(self._caller)

    @cached_property
    def tape_libraries(self) -> TapeLibraries:
        """`/tape_libraries`."""
        from rubackup.sdk.api.tape_libraries import TapeLibraries as made

        return made(self._caller)

    @cached_property
    def tape_types(self) -> TapeTypes:
        """`/tape_types`."""
        from rubackup.sdk.api.tape_types import TapeTypes as made

        return made(self._caller)

    @cached_property
    def task_log(self) -> TaskLog:
        """`/task_log`."""
        from rubackup.sdk.api.task_log import TaskLog as made

        return made(self._caller)

    @cached_property
    def task_queue(self) -> TaskQueue:
        """`/task_queue`."""
        from rubackup.sdk.api.task_queue import TaskQueue as made

        return made(self._caller)

    @cached_property
    def task_status(self) -> TaskStatus:
        """`/task_status`."""
        from rubackup.sdk.api.task_status import TaskStatus as made

        return made(self._caller)

    @cached_property
    def tl_task_queue(self) -> TlTaskQueue:
        """`/tl_task_queue`."""
        from rubackup.sdk.api.tl_task_queue import TlTaskQueue as made

        return made(self._caller)

    @cached_property
    def tokens(self) -> Tokens:
        """`/tokens`."""
        from rubackup.sdk.api.tokens import Tokens as made

        return made(self._caller)

    @cached_property
    def unauthorised_clients(self) -> UnauthorisedClients:
        """`/unauthorised_clients`."""
        from rubackup.sdk.api.unauthorised_clients import UnauthorisedClients as made

        return made(self._caller)

    @cached_property
    def unauthorised_media_servers(self) -> UnauthorisedMediaServers:
        """`/unauthorised_media_servers`."""
        from rubackup.sdk.api.unauthorised_media_servers import (
            UnauthorisedMediaServers as made,
        )

        return made(self._caller)

    @cached_property
    def user_groups(self) -> UserGroups:
        """`/user_groups`."""
        from rubackup.sdk.api.user_groups import UserGroups as made

        return made(self._caller)

    @cached_property
    def users(self) -> Users:
        """`/users`."""
        from rubackup.sdk.api.users import Users as made

        return made(self._caller)

    @cached_property
    def verification_status(self) -> VerificationStatus:
        """`/verification_status`."""
        from rubackup.sdk.api.verification_status import VerificationStatus as made

        return made(self._caller)

    @cached_property
    def calls(self) -> Calls:
        """`calls that stand alone`."""
        from rubackup.sdk.api.calls import Calls as made

        return made(self._caller)
