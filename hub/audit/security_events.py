"""The audit events of keys, of alarms, and of what commands list; a part of the closed list in hub/audit/events.py."""

from hub.audit.event_types import EventType, Kind

SECURITY_EVENTS = (
    EventType(
        "alert:hub:raised",
        Kind.ADMIN,
        "An alarm about queries was raised; whom it is about stands in the alarm, not here.",
        ("alert", "kind", "day", "observed"),
        ("score", "about"),
    ),
    EventType(
        "alert:operator:listed",
        Kind.QUERY,
        "A command listed the alarms about queries, or what came of each officer's queries.",
        ("what",),
        ("days",),
    ),
    EventType("basis:operator:listed", Kind.QUERY, "A command listed the declared bases with their references."),
    EventType("alert:operator:closed", Kind.ADMIN, "An alarm about queries was closed.", ("alert", "kind", "outcome")),
    EventType(
        "alert:operator:set",
        Kind.ADMIN,
        "The thresholds of some alarms were changed.",
        ("kind", "minimum", "score"),
    ),
    EventType("canary:operator:planted", Kind.ADMIN, "A person who does not exist was added, as bait.", ("county",)),
    EventType("key:operator:backed_up", Kind.ADMIN, "The key folder was backed up.", ("versions", "files")),
    EventType(
        "key:operator:drilled",
        Kind.ADMIN,
        "A backup of the key folder was restored into a scratch place and tried on samples.",
        ("backupMadeAt", "samples", "opened", "passed"),
        ("lacking",),
    ),
    EventType(
        "key:operator:reindexed",
        Kind.ADMIN,
        "Everything sealed and every blind index was brought over to the newest master key.",
        ("version", "rows", "setAside"),
    ),
    EventType(
        "key:operator:retired",
        Kind.ADMIN,
        "A version of the master key that nothing needs any more was destroyed.",
        ("version", "abandoned"),
    ),
    EventType(
        "key:operator:rotated", Kind.ADMIN, "A new version of the master key was made.", ("version",), ("suite",)
    ),
)
