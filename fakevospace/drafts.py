"""What of a client's node document is taken: properties, groups, link targets (protocol.md 4.2).

Pure rules over one document; whether the caller may change the node at all is decided in `space`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from fakevospace.access import GMS, Caller
from fakevospace.names import node_uri, split_uri
from fakevospace.nodes import Kind, NodeDraft
from fakevospace.personality import Personality
from fakevospace.properties import GROUP_READ, GROUP_WRITE, check_known, settable
from fakevospace.refusals import invalid_argument


@dataclass(frozen=True, slots=True)
class DraftRules:
    """The rules of one service.

    Attributes:
        groups: URIs of the groups that exist, where the service looks; none: any does.
    """

    personality: Personality
    groups: Collection[str]

    def accepted(self, draft: NodeDraft, caller: Caller) -> dict[str, str | None]:
        """Return the properties of a document that the caller can set.

        Raises:
            Refusal: 400 one of them is refused.
        """
        check_known(draft.properties, later=self.personality.later_properties)
        self._check_groups(draft.properties)
        admin, locks = caller.sets_admin_properties, self.personality.keeps_locks
        given = settable(draft.properties, admin=admin, locks=locks)
        if given and draft.kind is Kind.LINK and not self.personality.link_properties:
            raise invalid_argument("cannot set properties on a link node")
        return given

    def _check_groups(self, given: Mapping[str, str | None]) -> None:
        """Refuse groups of another group server, and unknown ones, where the service looks."""
        if not self.personality.local_groups:
            return
        named = [one for key in (GROUP_READ, GROUP_WRITE) for one in (given.get(key) or "").split()]
        if foreign := [one for one in named if not one.startswith(f"{GMS}?")]:
            raise invalid_argument(f"non-local groups: {' '.join(foreign)}")
        if missing := [one for one in named if self.groups and one not in self.groups]:
            raise invalid_argument(f"group not found: {' '.join(missing)}")

    def checked_target(self, draft: NodeDraft) -> str | None:
        """Return the target of a link as the service stores it, None for what is no link.

        Raises:
            Refusal: 400 it is missing, or leads where the service does not go.
        """
        if draft.kind is not Kind.LINK:
            return None
        target = draft.target or ""
        if not target:
            raise invalid_argument("link node without target")
        if self.personality.relative_links:
            if target.startswith("file://"):
                return target
            authority, path = split_uri(target)
            if authority != self.personality.authority:
                raise invalid_argument(f"link target in another service: {target}")
            return node_uri(self.personality.authority, path)
        if target.startswith("file://"):
            raise invalid_argument(f"link target not supported: {target}")
        return target
