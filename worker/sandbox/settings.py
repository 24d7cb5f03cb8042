"""Settings of the simulated Halo: one for every fact that differs between versions and tenants."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Wrapper(StrEnum):
    """The form of an error: a JSON string, or a serialized .NET exception."""

    STRING = "string"
    EXCEPTION = "exception"


@dataclass(frozen=True)
class SandboxSettings:
    """The defaults match current hosted Halo, as far as it is known. Durations in seconds. All but the seeded data can change while it runs."""

    # Authentication
    client_id: str = "sandbox-client"
    client_secret: str = "sandbox-secret"  # noqa: S105  for the simulation only
    username: str = "agent"
    password: str = "sandbox-password"  # noqa: S105  as above
    tenant: str = "sandbox"
    tenant_required: bool = False  # True: a token request without ?tenant= (or a tenant field) is refused
    scopes: tuple[str, ...] = ("all",)  # the scopes that the application may have
    application: str = "Sandbox application"  # its name, which actions show as `actionby_application_id`
    api_key: str | None = None  # a static key in X-Halo-Api-Key; None: there is none
    token_seconds: int = 3600
    tells_expiry: bool = True  # False: the token answer has no `expires_in`
    refresh_tokens: bool = True  # whether a client_credentials answer carries a refresh token

    # Seeded data
    seed: int = 1
    tickets: int = 200  # the numbers of all other records follow it
    seeded_days: int = 365  # the period of the seeded records

    # Lists
    page_cap: int | None = 100  # None: no maximum page size, as in older versions
    entity_caps: Mapping[str, int] = field(default_factory=dict)  # the cap of single entities, by path in lower case: {"asset": 50}
    page_size: int = 50  # the agent's page: for `pageinate` without `page_size`, and for a paged entity without `pageinate` and `count`
    page_no_needed: bool = False  # True: `page_size` without `page_no` is ignored too
    from_inclusive: bool = True  # whether `lastupdatefromdate` includes a record that changed at that time
    to_inclusive: bool = True
    agent_results: bool = True  # whether a list of agents that is asked for with paging parameters is {"results": [...]}
    list_lag: float = 0.0  # a new record is missing from lists for this time
    filter_by_third_party: bool = False  # True: filters by third_party_id and third_party_id_string, as newer versions do

    # Writes
    post_status: int = 201
    answers_array: bool = False  # True: the answer for one record is an array of one
    accepts_object: bool = False  # True: an array endpoint also accepts an object
    error_wrapper: Wrapper = Wrapper.STRING
    keeps_earlier: bool = True  # whether the records before an invalid one in an array stay stored
    tickets_race: bool = False  # True: overlapping creates of tickets fail with an empty 500
    create_seconds: float = 0.0  # duration of a create; `tickets_race` needs more than 0
    ticket_update_needs_type: bool = False  # True: "Record not found" unless an update sends tickettype_id and client_id
    unique_names: bool = True
    asset_fields_replaced: bool = True  # whether `fields` of an asset that an update does not send become empty

    # Limits
    rate_limit: int | None = 700  # None: unlimited, as self-hosted
    rate_window: float = 300.0
    retry_after: int | None = None  # value of the header; None: no header
    limit_wrapper: Wrapper = Wrapper.STRING
    limit_counts_refused: bool = False  # whether a refused request also counts
    limit_counts_tokens: bool = False

    # Clocks
    clock_offset: float = 0.0  # added to every stamp
    date_offset: float = 0.0  # added to the Date header

    # Webhooks and special endpoints
    keepalive_seconds: float = 75.0  # an idle connection stays open for this time; fixed at the start
    report_rows: int = 50_000  # more rows of a report are left out without a sign
    report_seconds: float = 60.0  # a report that takes longer is answered 504
    webhook_arrays: bool = False  # True: the body of a call is an array of one, as in batched deliveries
    webhook_copies: int = 1  # copies of each call, with the same id
    runbook_second: float = 1.0  # duration of a second of a sleep step
    runbook_steps: int = 10_000  # a run that takes more steps fails
    form_sets_variables: bool = False  # whether a form that starts a runbook by hand also sets its declared variables
    service_token_has_user: bool = False  # False: /Client/me and similar paths answer 401
    incoming_events_allowed: bool = False
