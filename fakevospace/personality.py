"""What each kind of service does differently: one frozen value per service.

Every difference between the real services that the fake shows is a field here, named after what
it means; no other module compares personality names.  Sources: protocol.md sections 1, 4 to 6
and 8 (cadc-vos-server, vault and cavern as deployed).

Invariant: a `Personality` is immutable and holds no state of a running service.
"""

from __future__ import annotations

from dataclasses import dataclass


class UnknownPersonality(ValueError):
    """The personality asked for is not one that this fake has."""


@dataclass(frozen=True, slots=True)
class Personality:
    """One kind of VOSpace service.

    Attributes:
        name: what `--personality` says.
        service: first element of the URL path, and last of the resource identifier.
        short_name: how the vos tools spell the root, colon included.
        server_header: value of the `Server` header; kept at what vos 3.7 accepts (4.7).
        files_redirect: GET /files answers 303 to a byte URL (vault), else the bytes (cavern).
        put_files: PUT /files stores bytes (cavern); byte URLs are below /files then.
        ranges: `Range` is honoured; else it is ignored and the answer is always 200.
        paging: `limit` and `uri` page a listing; else `limit` is ignored and `uri` refused.
        sorted_listing: children come ordered by name; else in directory order.
        locks: `islocked` is stored and enforced; else accepted and dropped.
        atomic_put: a PUT replaces the bytes at its end; else it truncates at its start.
        md5_prefix_quirk: from the second PUT on the MD5 property reads `md5:HEX`.
        link_properties: a LinkNode may carry properties.
        file_targets: a LinkNode may point to `file://`.
        relative_links: link targets are rewritten to the service's own authority.
        content_date: data nodes show `core#content-date`.
        directory_times: a container's date moves with its entries, as a directory's mtime.
        full_post_drops_md5: an update by a non-admin that names core#MD5 removes it (section 8).
    """

    name: str
    service: str
    short_name: str
    server_header: str
    files_redirect: bool
    put_files: bool
    ranges: bool
    paging: bool
    sorted_listing: bool
    locks: bool
    atomic_put: bool
    md5_prefix_quirk: bool
    link_properties: bool
    file_targets: bool
    relative_links: bool
    content_date: bool
    directory_times: bool
    full_post_drops_md5: bool

    @property
    def authority(self) -> str:
        """The authority of node URIs as the service writes it (`~`, section 1.5)."""
        return f"cadc.nrc.ca~{self.service}"

    @property
    def resource_id(self) -> str:
        """The identifier under which the registry lists the service."""
        return f"ivo://cadc.nrc.ca/{self.service}"


VAULT = Personality(
    name="vault",
    service="vault",
    short_name="vault:",
    server_header="fakevospace storage-inventory/vault-1.0",
    files_redirect=True,
    put_files=False,
    ranges=True,
    paging=True,
    sorted_listing=True,
    locks=True,
    atomic_put=True,
    md5_prefix_quirk=False,
    link_properties=True,
    file_targets=False,
    relative_links=False,
    content_date=True,
    directory_times=False,
    full_post_drops_md5=False,
)

CAVERN = Personality(
    name="cavern",
    service="arc",
    short_name="arc:",
    server_header="fakevospace vos/cavern-1.0",
    files_redirect=False,
    put_files=True,
    ranges=False,
    paging=False,
    sorted_listing=False,
    locks=False,
    atomic_put=False,
    md5_prefix_quirk=True,
    link_properties=False,
    file_targets=True,
    relative_links=True,
    content_date=False,
    directory_times=True,
    full_post_drops_md5=True,
)

PERSONALITIES = {one.name: one for one in (VAULT, CAVERN)}


def personality_named(name: str) -> Personality:
    """Look a personality up by its name.

    Args:
        name: `vault` or `cavern`.
    Returns:
        The personality.
    Raises:
        UnknownPersonality: there is none of that name; the message lists those there are.
    """
    try:
        return PERSONALITIES[name]
    except KeyError:
        known = ", ".join(PERSONALITIES)
        raise UnknownPersonality(
            f"personality {name!r} is absent from this version (it has: {known})"
        ) from None
