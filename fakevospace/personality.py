"""What one kind of service does differently from another: the fields of a frozen value.

Every difference between the services that the fake shows is a field here, named after what it
means; no other module compares personality names.  Which services there are stands in
`personalities`.  Sources: protocol.md sections 1, 4 to 6 and 8 (cadc-vos-server, vault and cavern
as deployed) and 12 (the Data Lab service, the specification).  The description of the fields below
is also the text of docs/personalities.md, which `python -m fakevospace.personalitytable` writes.

Invariant: a `Personality` is immutable and holds no state of a running service.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

DEFAULT_VIEW = "ivo://ivoa.net/vospace/core#defaultview"
DATA_VIEW = "ivo://cadc.nrc.ca/vospace/view#data"
PACKAGE_VIEW = "vos://cadc.nrc.ca~vospace/CADC/std/Pkg-1.0"


class ParameterForm(enum.Enum):
    """What `/synctrans?TARGET=...` answers."""

    NONE = "refused"
    REDIRECT = "redirect"
    DOCUMENT = "document"


@dataclass(frozen=True, slots=True)
class Personality:
    """One kind of VOSpace service.

    Attributes:
        name: what `--personality` says.
        service: first element of the URL path, and last of the resource identifier.
        short_name: how the vos tools spell the root, colon included.
        server_header: value of the `Server` header; kept at what vos 3.7 accepts (4.7).
        byte_service: first path element of the byte URLs (minoc); empty: bytes are below /files.
        has_files: there is a `/files`.
        files_redirect: GET /files answers with a redirect to a byte URL, else with the bytes.
        put_files: PUT /files stores bytes; byte URLs are below /files then.
        ranges: `Range` is honoured; else it is ignored and the answer is always 200.
        suffix_ranges: `bytes=-n` is the last n bytes; else it is taken for `0-n`.
        paging: `limit` and `uri` page a listing; else `limit` is ignored and `uri` refused.
        sorted_listing: children come ordered by name; else in directory order.
        locks: `islocked` is enforced.
        keeps_locks: `islocked` is stored; else accepted and dropped.
        atomic_put: a PUT replaces the bytes at its end; else it truncates at its start.
        fits_operations: byte URLs know `META` and the cut-outs of SODA, `x-artifact-id` and
            `If-Modified-Since`.
        put_transactions: PUT in several requests with `x-put-txn-op` (6.3); else one plain PUT.
        quota_at_put: bytes over the quota are 413 at the PUT; else only negotiation looks at it.
        md5_prefix_quirk: from the second PUT on the MD5 property reads `md5:HEX`.
        link_properties: a LinkNode may carry properties.
        file_targets: a LinkNode may point to `file://`.
        relative_links: link targets are rewritten to the service's own authority.
        follows_links: a link inside a path is followed; else 400 LinkFound.
        content_date: data nodes show `core#content-date`.
        directory_times: dates are a file system's: a container's moves with its entries, and
            moving a node keeps its own.
        full_post_drops_md5: an update by a non-admin that names core#MD5 removes it (section 8).
        refuses_read_only: a read-only property in a document is 403; else silently ignored.
        later_properties: publicread, mtime, ctime and btime are known; else 400.
        local_groups: only groups of the service's own group server can be set (400 else).
        fault_colon: refusals read `Fault: detail`; else `Fault detail`.
        container_faults: a missing container inside a path is ContainerNotFound for every method;
            else for PUT only, and NodeNotFound for the others.
        delete_status: status of a DELETE that succeeded.
        recursive_delete: DELETE of a container removes its children; else 400 when not empty.
        recursive_jobs: `/async-delete` and `/async-setprops` exist.
        redirect_status: status of every redirect.
        xfer_redirect: transferDetails redirects to `/xfer/{job}`; else it is the document itself.
        parameter_form: what synctrans with parameters answers.
        form_documents: transfer documents must come as `application/x-www-form-urlencoded`, and
            node documents as `text/xml` (415 else); else the Content-Type plays no part.
        views: the views that a transfer may ask for.
        refuses_protocols: negotiating without any known protocol is ProtocolNotSupported; else it
            succeeds with no endpoint.
        names_missing_source: a pull of a missing node is NodeNotFound; else "target is not a data
            node".
        push_clears: a push to a node that has bytes clears its properties but the permissions.
        query_on_changes: a query string on PUT, POST and DELETE of a node is ignored; else 400.
        auth_paths: the same resources also below `auth/`, for HTTP authentication.
        anonymous_writes: the anonymous caller may write where a node's `groupwrite` holds `*`.
        moves_at_post: a job on `/transfers` has run when its POST is answered; else PHASE=RUN.
        phase_at_post: `PHASE=RUN` in the URL that makes a job runs it; else it is ignored.
        substring_moves: a container cannot be moved into a sibling whose path begins with its own.
        copies: copying with `keepBytes` true works; else the job ends in ERROR.
        catalogues: `/properties`, `/views` and `/protocols` exist.
        packages: `/pkg` exists: several nodes as one tar or zip file.
    """

    name: str
    service: str
    short_name: str
    server_header: str
    byte_service: str
    has_files: bool
    files_redirect: bool
    put_files: bool
    ranges: bool
    suffix_ranges: bool
    paging: bool
    sorted_listing: bool
    locks: bool
    keeps_locks: bool
    atomic_put: bool
    fits_operations: bool
    put_transactions: bool
    quota_at_put: bool
    md5_prefix_quirk: bool
    link_properties: bool
    file_targets: bool
    relative_links: bool
    follows_links: bool
    content_date: bool
    directory_times: bool
    full_post_drops_md5: bool
    refuses_read_only: bool
    later_properties: bool
    local_groups: bool
    fault_colon: bool
    container_faults: bool
    delete_status: int
    recursive_delete: bool
    recursive_jobs: bool
    redirect_status: int
    xfer_redirect: bool
    parameter_form: ParameterForm
    form_documents: bool
    views: frozenset[str]
    refuses_protocols: bool
    names_missing_source: bool
    push_clears: bool
    query_on_changes: bool
    auth_paths: bool
    anonymous_writes: bool
    moves_at_post: bool
    phase_at_post: bool
    substring_moves: bool
    copies: bool
    catalogues: bool
    packages: bool

    @property
    def authority(self) -> str:
        """The authority of node URIs as the service writes it (`~`, section 1.5)."""
        return f"cadc.nrc.ca~{self.service}"

    @property
    def resource_id(self) -> str:
        """The identifier under which the registry lists the service."""
        return f"ivo://cadc.nrc.ca/{self.service}"
