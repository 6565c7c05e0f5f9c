"""The wire of VOSpace 2.1 as the clauses use it: requests sent and documents read, no judgement.

Written from the specification and independent of vofs and fakevospace on purpose: an error that
both shared would otherwise be invisible.
"""

from __future__ import annotations

from conformance.wire.connection import TIMEOUT_S, Connection, Credentials, WireError, succeed
from conformance.wire.documents import (
    Job,
    Node,
    Protocol,
    Transfer,
    node_document,
    parse,
    read_job,
    read_node,
    read_transfer,
    transfer_document,
)
from conformance.wire.jobs import ACTIVE, Jobs, location
from conformance.wire.nodes import Nodes
from conformance.wire.service import Dialect, Service
from conformance.wire.transfers import Negotiation, Transfers

__all__ = [
    "ACTIVE",
    "TIMEOUT_S",
    "Connection",
    "Credentials",
    "Dialect",
    "Job",
    "Jobs",
    "Negotiation",
    "Node",
    "Nodes",
    "Protocol",
    "Service",
    "Transfer",
    "Transfers",
    "WireError",
    "location",
    "node_document",
    "parse",
    "read_job",
    "read_node",
    "read_transfer",
    "succeed",
    "transfer_document",
]
