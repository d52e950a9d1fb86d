"""The guide's lookup tables as enumerations: `name` is what the API shows, `description` explains it.

Each member is served as a row `{id, name, description}` by the lookup resource of the
same family; ids count from 1 in the order written here and are part of the contract.
Literals that the guide attests are kept letter for letter; the rest are decisions of ours.
"""

from __future__ import annotations

from enum import Enum


class Lookup(Enum):
    """A lookup table: members are `(name, description)`."""

    def __init__(self, label: str, description: str) -> None:
        self.label = label
        self.description = description

    @property
    def id(self) -> int:
        """The row's number in its table, from 1."""
        return list(type(self)).index(self) + 1

    @classmethod
    def labels(cls) -> tuple[str, ...]:
        """All names, in order."""
        return tuple(member.label for member in cls)

    @classmethod
    def by_label(cls, label: str) -> Lookup | None:
        """The member of that name in any case, or None."""
        wanted = label.casefold()
        return next((member for member in cls if member.label.casefold() == wanted), None)


class TaskStatus(Lookup):
    """States of a task; which verb moves which to which is `domain.tasks`."""

    NEW = "New", "Waits in the queue for a worker"
    ASSIGNED = "Assigned", "Handed to a worker that has not answered yet"
    AT_CLIENT = "At_Client", "The worker has accepted the task"
    EXECUTION = "Execution", "The worker reads or writes data"
    TRANSMISSION = "Transmission", "Data is on its way to or from the media server"
    PAUSED = "Paused", "Stopped by an operator at a checkpoint; can be continued"
    SUSPENDED = "Suspended", "Waits for something that is missing, a client that is offline for example"
    DONE = "Done", "Finished; what it promised is there"
    ERROR = "Error", "Finished with an error; the task log says which"
    BROKEN = "Broken", "The worker was lost and the task could not be continued"
    KILLED = "Killed", "Ended by an operator"


class TaskType(Lookup):
    """What a task does. `Copy` is attested by the product; the rest are decisions of ours."""

    BACKUP = "Backup", "Makes a copy of a resource"
    RESTORE = "Restore", "Puts a copy back"
    VERIFY = "Verify", "Reads a copy again and compares every checksum"
    COPY = "Copy", "Copies a copy into another pool"
    MOVE = "Move", "Moves a copy into another pool"
    DELETE = "Delete", "Removes a copy from its pool"
    CLEAN = "Clean", "Frees what no copy in a pool needs"


class BackupType(Lookup):
    """What of a resource a backup reads."""

    FULL = "full", "Reads everything"
    INCREMENTAL = "incremental", "Reads what changed since the last copy"
    DIFFERENTIAL = "differential", "Reads what changed since the last full copy"


class CompressionType(Lookup):
    """How chunks are compressed in a pool."""

    NONE = "None", "No compression"
    FAST = "fast", "zstd level 1"
    OPTIMAL = "optimal", "zstd level 3"
    BEST = "best", "zstd level 9"


class Crypto(Lookup):
    """How copies are encrypted on the client. Which of them a client can run, it tells itself."""

    NOCRYPT = "nocrypt", "No encryption"
    AES_GCM = "aes-256-gcm", "AES-256-GCM; the fastest where the processor has AES"
    CHACHA20 = "chacha20-poly1305", "ChaCha20-Poly1305; the fastest without AES in the processor"
    RIJNDAEL_128 = "rijndael-128", "AES-128, counter mode with HMAC-SHA-256"
    RIJNDAEL_256 = "rijndael-256", "AES-256, counter mode with HMAC-SHA-256"
    SM4 = "sm4-128", "SM4, counter mode with HMAC-SHA-256"
    CAMELLIA_128 = "camellia-128", "Camellia, 128 bit, counter mode with HMAC-SHA-256; needs libbotan-2 on the client"
    CAMELLIA_256 = "camellia-256", "Camellia, 256 bit, counter mode with HMAC-SHA-256; needs libbotan-2 on the client"
    ARIA_128 = "aria-128", "ARIA, 128 bit, counter mode with HMAC-SHA-256; needs libbotan-2 on the client"
    ARIA_256 = "aria-256", "ARIA, 256 bit, counter mode with HMAC-SHA-256; needs libbotan-2 on the client"
    SERPENT_128 = "serpent-128", "Serpent, 128 bit, counter mode with HMAC-SHA-256; needs libbotan-2 on the client"
    SERPENT_256 = "serpent-256", "Serpent, 256 bit, counter mode with HMAC-SHA-256; needs libbotan-2 on the client"
    TWOFISH_128 = "twofish-128", "Twofish, 128 bit, counter mode with HMAC-SHA-256; needs libbotan-2 on the client"
    TWOFISH_256 = "twofish-256", "Twofish, 256 bit, counter mode with HMAC-SHA-256; needs libbotan-2 on the client"
    CAST6_128 = "cast6-128", "CAST-256, 128 bit, counter mode with HMAC-SHA-256; needs libbotan-2 on the client"
    CAST6_256 = "cast6-256", "CAST-256, 256 bit, counter mode with HMAC-SHA-256; needs libbotan-2 on the client"
    THREEFISH_512 = (
        "threefish-512",
        "Threefish, 512 bit, counter mode with HMAC-SHA-256; needs libbotan-2 on the client",
    )


class HashAlgorithm(Lookup):
    """Hash algorithms that a Block device pool may record beside the chunk identity."""

    SHA1 = "sha1", "SHA-1, 160 bit"
    SHA2 = "sha2", "SHA-2, 256 or 512 bit"
    SKEIN = "skein", "Skein, 256 or 512 bit; needs libbotan-2 on the media server"
    BLAKE2B = "blake2b", "BLAKE2b, 256 or 512 bit"
    STREEBOG = "streebog", "GOST R 34.11-2012, 256 or 512 bit; needs libbotan-2 on the media server"


class StorageType(Lookup):
    """Types of pools."""

    FILE_SYSTEM = "File system", "Folders of a media server"
    TAPE_LIBRARY = "Tape library", "Cartridges of a tape library"
    CLOUD = "Cloud", "A bucket of an S3-compatible object storage"
    BLOCK_DEVICE = "Block device", "Block devices of a media server"
    CLIENT_DEFINED = "Client defined", "A storage that a client brings itself"


class DisasterRecoveryStatus(Lookup):
    """Status of an entry of the disaster recovery plan."""

    NOT_CHECKED = "Not checked", "The entry was never checked"
    CHECKING = "Checking", "A check is running"
    READY = "Ready", "The last check found everything that a recovery needs"
    FAILED = "Failed", "The last check found something missing"


class LicenseType(Lookup):
    """Types of licences. There is one, it is free, and it refuses nothing."""

    FREE = "Free", "No limits"


class NotificationStatus(Lookup):
    """Delivery status of a notification."""

    NEW = "New", "Not sent yet"
    SENT = "Sent", "Accepted by the mail server or the webhook"
    FAILED = "Failed", "Given up after the last attempt"


class OsType(Lookup):
    """Operating systems of clients."""

    LINUX = "Linux", "Linux"


class ResourceType(Lookup):
    """Types of resources that clients can back up. Only what runs is listed."""

    FILE_SYSTEM = "File system", "Folders and files"


class RuleStatus(Lookup):
    """Status of a rule, a strategy or a report."""

    WAIT = "wait", "Stopped: makes no tasks"
    RUN = "run", "Started: makes tasks by its schedule"


class TapeType(Lookup):
    """Generations of tape cartridges."""

    LTO_5 = "LTO-5", "1.5 TB native"
    LTO_6 = "LTO-6", "2.5 TB native"
    LTO_7 = "LTO-7", "6 TB native"
    LTO_8 = "LTO-8", "12 TB native"
    LTO_9 = "LTO-9", "18 TB native"


class VerificationStatus(Lookup):
    """What the last verification of a copy found."""

    NOT_VERIFIED = "Not Verified", "Never verified"
    TRUSTED = "Trusted", "Everything was read again and every checksum held"
    NOT_TRUSTED = "Not Trusted", "Damage was found; the task log names it"
