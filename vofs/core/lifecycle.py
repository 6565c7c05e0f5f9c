"""The life of a cached file and of its upload: named states, named events, and one table.

`FileState` applies events; an event that the table does not hold in a state is a defect of vofs and
raises `IllegalTransition` there.
"""

from __future__ import annotations

import enum


class Life(enum.Enum):
    """Whether the file still has a name."""

    ATTACHED = "attached"
    DETACHED = "detached"  # unlinked or replaced while open: goes on, is never uploaded
    CLOSED = "closed"


class Upload(enum.Enum):
    """Where the file is on its way to the service."""

    IDLE = "idle"  # clean, or dirty and not yet due
    QUEUED = "queued"
    UPLOADING = "uploading"
    IN_DOUBT = "in-doubt"  # a PUT began and its fate is unknown (R1)
    CONFLICT = "conflict"
    FAILED = "failed"


class Event(enum.Enum):
    """What can happen to the upload of a file."""

    QUEUE = "queue"  # it is due: flush, release, mount, user
    CUT = "cut"  # a worker takes a ticket
    STORED = "stored"  # proved to be on the service (R7)
    RETRY = "retry"  # not stored for sure; send again later
    DOUBT = "doubt"  # a begun PUT broke on a service that truncates
    RESEND = "resend"  # the doubt is settled: our PUT did not arrive
    FAIL = "fail"  # permanent; kept and listed
    CONFLICT = "conflict"  # the service holds somebody else's version
    RESOLVE = "resolve"  # the conflict is over: it is sent
    DETACH = "detach"  # the name is gone


TRANSITIONS: dict[tuple[Upload, Event], Upload] = {
    (Upload.IDLE, Event.QUEUE): Upload.QUEUED,
    (Upload.IDLE, Event.CONFLICT): Upload.CONFLICT,
    (Upload.IDLE, Event.DETACH): Upload.IDLE,
    (Upload.QUEUED, Event.QUEUE): Upload.QUEUED,
    (Upload.QUEUED, Event.CUT): Upload.UPLOADING,
    (Upload.QUEUED, Event.RETRY): Upload.QUEUED,
    (Upload.QUEUED, Event.FAIL): Upload.FAILED,
    (Upload.QUEUED, Event.CONFLICT): Upload.CONFLICT,
    (Upload.QUEUED, Event.DETACH): Upload.IDLE,
    (Upload.UPLOADING, Event.QUEUE): Upload.UPLOADING,
    (Upload.UPLOADING, Event.STORED): Upload.IDLE,
    (Upload.UPLOADING, Event.RETRY): Upload.QUEUED,
    (Upload.UPLOADING, Event.DOUBT): Upload.IN_DOUBT,
    (Upload.UPLOADING, Event.FAIL): Upload.FAILED,
    (Upload.IN_DOUBT, Event.QUEUE): Upload.IN_DOUBT,
    (Upload.IN_DOUBT, Event.STORED): Upload.IDLE,
    (Upload.IN_DOUBT, Event.RESEND): Upload.QUEUED,
    (Upload.IN_DOUBT, Event.FAIL): Upload.FAILED,
    (Upload.IN_DOUBT, Event.CONFLICT): Upload.CONFLICT,
    (Upload.IN_DOUBT, Event.DETACH): Upload.IDLE,
    (Upload.FAILED, Event.QUEUE): Upload.QUEUED,
    (Upload.FAILED, Event.DETACH): Upload.IDLE,
    (Upload.CONFLICT, Event.QUEUE): Upload.CONFLICT,
    (Upload.CONFLICT, Event.RESOLVE): Upload.QUEUED,
    (Upload.CONFLICT, Event.DETACH): Upload.IDLE,
}
