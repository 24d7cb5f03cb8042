"""What the simulated Halo is told to be: every fact that differs between versions and tenants is a switch here."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Wrapper(StrEnum):
    """How an error text is wrapped: a bare JSON string, or the exception object of .NET."""

    STRING = "string"
    EXCEPTION = "exception"


@dataclass(frozen=True)
class SandboxSettings:
    """The defaults are the best reading of what is known of current hosted Halo. Durations are seconds. Replaceable while it runs, except for what is in it."""

    # Who may come in
    client_id: str = "sandbox-client"
    client_secret: str = "sandbox-secret"  # noqa: S105  not a secret: it opens the simulation only
    username: str = "agent"
    password: str = "sandbox-password"  # noqa: S105  as above
    tenant: str = "sandbox"
    tenant_required: bool = False  # True: a token call without ?tenant= (or a tenant field) is refused
    scopes: tuple[str, ...] = ("all",)  # what the application may be granted at most
    token_seconds: int = 3600
    tells_expiry: bool = True  # False: the token answer lacks `expires_in`
    refresh_tokens: bool = True  # whether a client_credentials answer carries a refresh token

    # What is in it
    seed: int = 1
    tickets: int = 200  # everything else is sized by it
    seeded_days: int = 365  # how far back the seeded records reach

    # How lists answer
    page_cap: int | None = 100  # None: a page is as long as was asked for, as in older versions
    page_size: int = 50  # when `pageinate` comes without `page_size`
    tickets_window: int = 50  # rows of a ticket list that asks for neither pages nor a count
    from_inclusive: bool = True  # whether `lastupdatefromdate` takes a record that changed at that very moment
    to_inclusive: bool = True
    agent_results: bool = False  # True: agents come as {"results": [...]} when paging was asked for
    list_lag: float = 0.0  # how long a new record is missing from lists
    filter_by_third_party: bool = False  # newer versions filter by third_party_id and third_party_id_string

    # How writes answer
    post_status: int = 201
    answers_array: bool = False  # True: one record comes back in an array of one
    accepts_object: bool = False  # True: an array endpoint takes a bare object as well
    error_wrapper: Wrapper = Wrapper.STRING
    keeps_earlier: bool = True  # of an array with a bad record: whether the records before it stay stored
    tickets_race: bool = False  # True: ticket creates that overlap fail with an empty 500
    create_seconds: float = 0.0  # how long a create takes; the race needs some
    ticket_update_needs_type: bool = False  # True: "Record not found" unless tickettype_id and client_id are sent along
    unique_names: bool = True

    # Limits
    rate_limit: int | None = 700  # None: unlimited, as self-hosted
    rate_window: float = 300.0
    retry_after: int | None = None  # the header's value; None: no header
    limit_wrapper: Wrapper = Wrapper.STRING
    limit_counts_refused: bool = False  # whether a refused request uses up budget as well
    limit_counts_tokens: bool = False

    # Clocks
    clock_offset: float = 0.0  # of every stamp that it writes
    date_offset: float = 0.0  # of the Date header

    # Webhooks and oddities
    keepalive_seconds: float = 75.0  # how long an idle connection stays open; counts from the start
    webhook_arrays: bool = False  # True: a delivery is an array of one, as batched deliveries may be
    webhook_copies: int = 1  # how often each delivery is sent, under the same id
    service_token_has_user: bool = False  # False: /Client/me and the like answer 401
    incoming_events_allowed: bool = False
