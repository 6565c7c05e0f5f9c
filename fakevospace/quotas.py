"""How much may still be stored: the quota of the nearest container above (protocol.md 8).

Nothing is counted along the way: what is used is added up when somebody asks, which only nodes
below a quota do.  Call with the lock of `State` held.
"""

from __future__ import annotations

from fakevospace.nodes import Node
from fakevospace.properties import QUOTA


def used_bytes(container: Node) -> int:
    """Return the bytes of all files below a container."""
    total, waiting = 0, [container]
    while waiting:
        for child in waiting.pop().children:
            total += child.length
            if child.children:
                waiting.append(child)
    return total


def quota_of(node: Node) -> int | None:
    """Return the quota set on a node itself, in bytes; None without one."""
    text = node.properties.get(QUOTA, "")
    return int(text) if text.isdecimal() else None


def remaining_bytes(node: Node) -> int | None:
    """Return what is left of the quota that a node is under; negative when it is overrun.

    Returns:
        None when no container above has a quota.
    """
    above: Node | None = node
    while above is not None:
        limit = quota_of(above)
        if limit is not None:
            return limit - used_bytes(above)
        above = above.parent
    return None
