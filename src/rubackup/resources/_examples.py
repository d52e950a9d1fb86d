"""Parts of the guide's example bodies that several families share."""

from __future__ import annotations

from typing import Any

EXTENSIONS: dict[str, Any] = {
    "module_extensions": {
        "parameters": {
            "file_list": True, "numeric_owner": False, "use_snapshot": False, "ignore_errors_snapshot": True,
            "snapshot_type": "", "snapshot_size": 10, "script_before_snapshot": "", "script_after_snapshot": "",
            "script_error_snapshot": "",
        }
    },
    "common_modules_extensions": {
        "parameters": {
            "worker_parallelism": 8, "enable_multithreading": False, "enable_flexible_dedup": False,
            "network_parallelism": 8, "memory_threshold": 0, "deny_memory_exceed": False,
        }
    },
}  # fmt: skip
"""The extension objects of a backup of a File system."""
