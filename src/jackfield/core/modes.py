"""The two mode axes, which are easily confused: what may leave this machine, and who runs a process."""

from enum import StrEnum


class OperatingMode(StrEnum):
    """What may leave this machine. Loopback and Unix sockets are not "leaving" in any mode."""

    LOCAL_ONLY = "local_only"
    BURST = "burst"
    AIRGAPPED = "airgapped"


class LifecycleMode(StrEnum):
    """Who starts and stops a service's process."""

    MANAGED = "managed"
    MONITORED = "monitored"
    EXTERNAL = "external"
