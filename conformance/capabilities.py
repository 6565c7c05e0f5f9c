"""What a service may be able to do: the flags that decide which clauses apply to it.

A flag is true, false, or unknown (None). `probe` finds what can be found read-only, the profile
says what is known; where neither speaks the default of this table holds: what the standard
demands is assumed, what it leaves open or what only CADC's services have is not. A clause whose
flag is false is reported as `not run`, with the flag's meaning; it is never left out silently.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

# What a run may lack rather than a service: told by the options.
SECOND_USER = "secondUser"
GROUP = "group"
STRICT = "strict"

# Name: (meaning, assumed when nothing is known). The first block has opencadc's names.
FLAGS: Mapping[str, tuple[str, bool]] = {
    "linkNodeProps": ("link nodes may carry properties", True),
    "linkExternalFile": ("link nodes may point to file: URIs", False),
    "paginationSupported": ("listings can be paged with limit and uri", True),
    "paginationLimitIgnored": ("limit is accepted without effect", False),
    "nodelockSupported": ("islocked is stored and enforced", False),
    "passthroughParams": ("the query of /files is copied to the redirect", False),
    "serviceMetadata": ("/protocols, /views and /properties are there", True),
    "syncTransfers": ("transfers can be negotiated synchronously", True),
    "asyncTransfers": ("there are transfer jobs", True),
    "pendingJobs": ("a new job waits as PENDING for PHASE=RUN", True),
    "parameterForm": ("transfers can be negotiated by URL parameters", False),
    "parametersRedirect": ("transfers by parameters always answer 303 to the bytes", False),
    "anyContentType": ("documents are taken under any Content-Type", False),
    "serviceTransfers": ("the service moves bytes itself (pullTo, pushFrom)", False),
    "autoNames": (".auto makes a new name", False),
    "nullNode": (".null discards what is moved or written there", False),
    "publicShare": ("the public share protocol is offered", False),
    "preauthorised": ("byte URLs work without credentials", False),
    "ranges": ("byte requests honour Range", False),
    "digests": ("byte answers carry Digest, and a wrong Digest is refused", False),
    "contentDate": ("data nodes show content-date", False),
    "pushKeepsProperties": ("properties of a node outlive a push", False),
    "atomicPut": ("a PUT replaces the bytes at its end, all at once", False),
    "transactions": ("PUT transactions (x-put-txn-op)", False),
    "cutouts": ("cut-outs of FITS images (SUB)", False),
    "files": ("the /files endpoint", False),
    "filesRedirect": ("/files leads to a byte URL by a redirect", False),
    "filesPut": ("/files takes PUT", False),
    "linksFollowed": ("links inside a path are followed", False),
    "inheritPermissions": ("children take their container's permissions", False),
    "permissionProps": ("ispublic, groupread and groupwrite are enforced", False),
    "computedRights": ("detail=max shows readable and writable", False),
    "recursiveDelete": ("/async-delete", False),
    "recursiveProps": ("/async-setprops", False),
    "packages": ("archives of containers (pkg)", False),
    "sortRefused": ("sort and order are refused", False),
    "documentLimit": ("documents over 32 KiB are refused", False),
    "coreKeysChecked": ("unknown core properties are refused", False),
    "jsonNodes": ("node documents can be had as JSON", False),
    "refusesNonEmptyDelete": ("DELETE of a container that is not empty is refused", False),
    "moveRefusesExisting": ("a move never replaces a node", True),
    "jobListPrivate": ("the list of jobs is refused to the anonymous caller", False),
    SECOND_USER: ("a second user (--other-token-file or --other-certfile)", False),
    GROUP: ("a group of which the second user is a member (--group)", False),
    STRICT: ("callers without credentials are told from those with", False),
}


@dataclass(frozen=True, slots=True)
class Capabilities:
    """The flags of one target: what its profile says, and what was found."""

    stated: Mapping[str, bool]
    found: Mapping[str, bool | None]

    def has(self, flag: str) -> bool:
        """Whether clauses that need this flag are run."""
        if flag in self.stated:
            return self.stated[flag]
        found = self.found.get(flag)
        return FLAGS[flag][1] if found is None else found

    def missing(self, needed: tuple[str, ...]) -> str | None:
        """Why clauses that need these flags are not run; None when they are."""
        for flag in needed:
            if not self.has(flag):
                return f"needs {flag}: {FLAGS[flag][0]}"
        return None

    def contradictions(self) -> list[str]:
        """The flags of which the profile says something else than was found."""
        return [
            flag
            for flag, stated in self.stated.items()
            if self.found.get(flag) not in (None, stated)
        ]
