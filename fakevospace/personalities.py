"""The services that the fake can be: one `Personality` each, and how they are found by name.

`VAULT` says every field; the others say what they do differently from it.  Sources: as in
`personality`.
"""

from __future__ import annotations

from dataclasses import replace

from fakevospace.personality import (
    DATA_VIEW,
    DEFAULT_VIEW,
    PACKAGE_VIEW,
    ParameterForm,
    Personality,
)


class UnknownPersonality(ValueError):
    """The personality asked for is not one that this fake has."""


VAULT = Personality(
    name="vault",
    service="vault",
    short_name="vault:",
    server_header="fakevospace storage-inventory/vault-1.0",
    byte_service="minoc",
    has_files=True,
    files_redirect=True,
    put_files=False,
    ranges=True,
    suffix_ranges=False,
    paging=True,
    sorted_listing=True,
    locks=True,
    keeps_locks=True,
    atomic_put=True,
    fits_operations=True,
    put_transactions=True,
    quota_at_put=False,
    md5_prefix_quirk=False,
    link_properties=True,
    file_targets=False,
    relative_links=False,
    follows_links=True,
    content_date=True,
    directory_times=False,
    full_post_drops_md5=False,
    refuses_read_only=False,
    later_properties=False,
    local_groups=False,
    fault_colon=True,
    container_faults=False,
    delete_status=200,
    recursive_delete=False,
    recursive_jobs=True,
    redirect_status=303,
    xfer_redirect=True,
    parameter_form=ParameterForm.REDIRECT,
    form_documents=False,
    views=frozenset({DEFAULT_VIEW, DATA_VIEW}),
    refuses_protocols=False,
    names_missing_source=False,
    push_clears=False,
    query_on_changes=True,
    auth_paths=False,
    anonymous_writes=False,
    moves_at_post=False,
    phase_at_post=False,
    substring_moves=True,
    copies=False,
    catalogues=False,
    packages=False,
)

CAVERN = replace(
    VAULT,
    name="cavern",
    service="arc",
    short_name="arc:",
    server_header="fakevospace vos/cavern-1.0",
    byte_service="",
    files_redirect=False,
    put_files=True,
    ranges=False,
    paging=False,
    sorted_listing=False,
    locks=False,
    keeps_locks=False,
    atomic_put=False,
    fits_operations=False,
    put_transactions=False,
    quota_at_put=True,
    md5_prefix_quirk=True,
    link_properties=False,
    file_targets=True,
    relative_links=True,
    content_date=False,
    directory_times=True,
    full_post_drops_md5=True,
    local_groups=True,
    views=frozenset({DEFAULT_VIEW, DATA_VIEW, PACKAGE_VIEW}),
    packages=True,
)

DATALAB = replace(
    VAULT,
    name="datalab",
    service="datalab",
    short_name="datalab:",
    server_header="fakevospace datalab-1.0",
    byte_service="datalab-bytes",
    has_files=False,
    files_redirect=False,
    suffix_ranges=True,
    locks=False,
    fits_operations=False,
    put_transactions=False,
    recursive_delete=True,
    recursive_jobs=False,
    redirect_status=302,
    xfer_redirect=False,
    parameter_form=ParameterForm.NONE,
    form_documents=True,
    views=frozenset({DEFAULT_VIEW}),
    query_on_changes=False,
    auth_paths=True,
    anonymous_writes=True,
    moves_at_post=True,
    substring_moves=False,
)

SPEC = replace(
    VAULT,
    name="spec",
    server_header="fakevospace spec-1.0",
    put_transactions=False,
    follows_links=False,
    suffix_ranges=True,
    refuses_read_only=True,
    later_properties=True,
    fault_colon=False,
    container_faults=True,
    delete_status=204,
    recursive_delete=True,
    parameter_form=ParameterForm.DOCUMENT,
    refuses_protocols=True,
    names_missing_source=True,
    push_clears=True,
    phase_at_post=True,
    substring_moves=False,
    copies=True,
    catalogues=True,
)

PERSONALITIES = {one.name: one for one in (VAULT, CAVERN, DATALAB, SPEC)}


def personality_named(name: str) -> Personality:
    """Look a personality up by its name.

    Args:
        name: one of `PERSONALITIES`.
    Returns:
        The personality.
    Raises:
        UnknownPersonality: there is none of that name; the message lists those there are.
    """
    try:
        return PERSONALITIES[name]
    except KeyError:
        known = ", ".join(PERSONALITIES)
        raise UnknownPersonality(f"there is no personality {name!r} (there are: {known})") from None
