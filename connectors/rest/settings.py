"""What an administrator fills in for a REST system. The console draws its form from these models' JSON Schema.

Templates: a text in a path, query, header or body may hold `{placeholders}`. `{key}` is the record's key, `{any.field}` a field's value,
`{record}` the whole record and `{records}` a list of them (each the only content of its text), `{idempotency_key}` the write's own key.
Paths into an answer are names joined by dots (`data.items`, `errors.0.message`); an empty path is the answer itself.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, Field, ValidationInfo, field_validator, model_validator

from connectors.base import FieldType, _, refused
from connectors.forms import Form, Secret


def full_address(value: str) -> str:
    parts = _split(value)
    if parts is None or parts.scheme not in ("http", "https") or not parts.hostname:
        raise refused(_("The address must begin with https:// or http:// and name a host, with a port up to 65535 where it has one."))
    return value


def base_address(value: str) -> str:
    parts = urlsplit(full_address(value))
    if parts.username or parts.password:
        raise refused(_("User and password belong under Authentication, not into the address."))
    if parts.query or parts.fragment:
        raise refused(_("The address must not hold a ? or #; parameters belong under Connection, Query."))
    return value.rstrip("/")


NAMED_FORMATS = ("", "iso", "epoch_seconds", "epoch_milliseconds", "json_date")


def time_pattern(value: str) -> str:
    """Without a % it would be written as it is, into each record."""
    if "%" not in value:
        raise refused(_("“{format}” is no pattern of a date or time. Write it with % signs, such as %d.%m.%Y or %H:%M."), format=value)
    return value


def time_format(value: str) -> str:
    return value if value in NAMED_FORMATS else time_pattern(value)


def two_words(value: str) -> str:
    if "/" not in value:
        raise refused(_("“{format}” does not say how yes and no are written. Write two words with a / between them, such as Y/N."), format=value)
    return value


FullAddress = Annotated[str, AfterValidator(full_address)]
TimeFormat = Annotated[str, AfterValidator(time_format)]
BaseAddress = Annotated[str, AfterValidator(base_address)]
Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
WriteOperation = Literal["create", "update", "delete"]


# --- how we prove who we are -------------------------------------------------------------------------------------------


class NoAuth(Form, title="None"):
    type: Literal["none"] = "none"


class BasicAuth(Form, title="User and password"):
    type: Literal["basic"] = "basic"
    user: str = Field(title="User", description="The name to sign in with.", min_length=1)
    password: Secret = Field(title="Password", description="Kept encrypted.")


class BearerAuth(Form, title="Bearer token"):
    type: Literal["bearer"] = "bearer"
    token: Secret = Field(title="Token", description="Sent as “Authorization: Bearer …”.")


class ApiKeyAuth(Form, title="API key"):
    type: Literal["api_key"] = "api_key"
    key: Secret = Field(title="API key", description="Kept encrypted.")
    send_in: Literal["header", "query"] = Field("header", title="Send in", description="Where the key travels. A header is safer.")
    name: str = Field("X-API-Key", title="Name", description="Name of the header or of the query parameter.")


class OAuthClient(Form):
    """What both OAuth 2 grants share."""

    token_url: FullAddress = Field(title="Token address", description="Full address where tokens are issued.")
    client_id: str = Field(title="Client id", description="As registered with the system.", min_length=1)
    client_secret: Secret = Field("", title="Client secret", description="Empty for a public client.")
    client_sent_as: Literal["basic", "body"] = Field("basic", title="Client sent as", description="In an Authorization header, or in the form.")
    scope: str = Field("", title="Scope", description="Scopes separated by spaces.")
    extra: dict[str, str] = Field({}, title="More parameters", description="Sent with the token call, such as audience.")


class OAuthClientCredentials(OAuthClient, title="OAuth 2, client credentials"):
    type: Literal["oauth2_client_credentials"] = "oauth2_client_credentials"


class OAuthAuthorizationCode(OAuthClient, title="OAuth 2, by a person's consent"):
    type: Literal["oauth2_authorization_code"] = "oauth2_authorization_code"
    authorization_url: FullAddress = Field(
        title="Authorization address", description="Where a person is asked to agree.", json_schema_extra={"return_address": True}
    )
    authorization_extra: dict[str, str] = Field({}, title="More authorization parameters", description="Such as access_type=offline.")
    pkce: bool = Field(True, title="PKCE", description="Protects the code on its way back. Switch off only for systems that refuse it.")


class TokenCall(Form, title="Token call of its own"):
    """A call of the system's own that answers with a token."""

    type: Literal["token_call"] = "token_call"
    method: Method = Field("POST", title="Method", description="Of the token call.")
    path: str = Field(title="Path", description="Of the token call, such as /gettoken.")
    query: dict[str, str] = Field({}, title="Query", description="Its values may hold {names} of the values below.")
    headers: dict[str, str] = Field({}, title="Headers", description="Their values may hold {names} too.")
    body: Any = Field(None, title="Body", description="Sent as JSON; texts may hold {names}.")
    form: bool = Field(False, title="Send as a form", description="Send the body's names and values as a web form instead of JSON.")
    values: dict[str, str] = Field(
        {}, title="Values", description="User, password, corpid, corpsecret …: kept encrypted.", json_schema_extra={"secret": True}, repr=False
    )
    token_path: str = Field("access_token", title="Token path", description="Where the token is in the answer.")
    expires_path: str = Field("", title="Expiry path", description="Where the answer says how long the token holds. Empty: the lifetime below.")
    expires_as: Literal["seconds", "epoch_seconds", "epoch_milliseconds", "iso"] = Field("seconds", title="Expiry as", description="How it says so.")
    lifetime_seconds: int | None = Field(None, title="Lifetime", description="Seconds a token holds where the answer does not say.", gt=0)
    send_in: Literal["header", "query"] = Field("header", title="Send in", description="Where the token travels.")
    name: str = Field("Authorization", title="Name", description="Name of the header or of the query parameter.")
    prefix: str = Field("", title="Prefix", description="What stands before the token, such as “Bearer ” with its space.")


class SignedRequests(Form, title="Signed requests (HMAC)"):
    """Each request is signed with a shared secret (HMAC)."""

    type: Literal["hmac"] = "hmac"
    key_id: str = Field("", title="Key id", description="Tells the system whose secret it is; {key_id} in the templates.")
    secret: Secret = Field(title="Secret", description="Kept encrypted.")
    algorithm: Literal["sha256", "sha1", "sha512", "md5"] = Field("sha256", title="Algorithm", description="Of signature and body hash.")
    sign: str = Field(
        "{method}\n{path}\n{query}\n{timestamp}\n{body_hash}",
        title="What is signed",
        description="A template of {method}, {path}, {query} (sorted), {target} (path?query), {timestamp}, {nonce}, {body}, {body_hash}, {key_id}.",
    )
    signature_as: Literal["hex", "hex_upper", "base64"] = Field("hex", title="Signature as", description="How signature and body hash are written.")
    timestamp_as: Literal["epoch_seconds", "epoch_milliseconds", "iso", "http"] = Field(
        "epoch_seconds", title="Timestamp as", description="Its form."
    )
    headers: dict[str, str] = Field(
        {"X-Key": "{key_id}", "X-Timestamp": "{timestamp}", "X-Signature": "{signature}"}, title="Headers", description="Sent with each request."
    )
    query: dict[str, str] = Field({}, title="Query", description="Sent with each request; not signed themselves.")


Auth = Annotated[
    NoAuth | BasicAuth | BearerAuth | ApiKeyAuth | OAuthClientCredentials | OAuthAuthorizationCode | TokenCall | SignedRequests,
    Field(discriminator="type"),
]


# --- the way there -----------------------------------------------------------------------------------------------------


class Connection(Form):
    """Time-outs, certificates, proxy."""

    connect_seconds: float = Field(10, title="Time to connect", description="Seconds.", gt=0, le=120)
    read_seconds: float = Field(30, title="Silence allowed", description="Seconds without a byte of the answer.", gt=0, le=600)
    total_seconds: float = Field(60, title="Time in all", description="Seconds from the start of a request to its whole answer.", gt=0, le=900)
    keep_alive_seconds: float = Field(4, title="Keep connections", description="Seconds an idle connection is kept. Shorter than the server's.", ge=0)
    in_flight: int = Field(8, title="Requests at once", description="Write and lookup requests under way at the same time.", ge=1, le=256)
    tries: int = Field(3, title="Tries", description="Of a reading request that meets a passing failure.", ge=1, le=10)
    verify_tls: bool = Field(True, title="Check the certificate", description="Switch off only to find a fault, never for good.")
    ca_pem: str = Field("", title="Own certificate authority", description="PEM text, for a system whose certificate your company issued.")
    proxy: str = Field("", title="Proxy", description="Address of an HTTP proxy, such as http://proxy.corp:3128.")
    proxy_user: str = Field("", title="Proxy user", description="Empty: none.")
    proxy_password: Secret = Field("", title="Proxy password", description="Kept encrypted.")
    headers: dict[str, str] = Field({}, title="Headers", description="Sent with every request. No secrets here.")
    query: dict[str, str] = Field({}, title="Query", description="Sent with every request. No secrets here.")
    allowed_origins: tuple[str, ...] = Field((), title="Other origins", description="Where a next page may point besides the system itself.")


class Answers(Form):
    """How any answer of this system is understood."""

    success_path: str = Field("", title="Success path", description="Where an answer says whether it succeeded. Empty: the HTTP status alone counts.")
    success_values: tuple[str, ...] = Field(("0", "200", "true", "ok"), title="Success values", description="What stands there when it did.")
    code_path: str = Field("", title="Error code path", description="Where the error code is. Empty: the success path.")
    error_path: str = Field("", title="Error text path", description="Where the reason is. Empty: message, error … are tried.")
    expired_codes: tuple[str, ...] = Field((), title="Codes: token expired", description="Error codes that ask for a new token.")
    wait_codes: tuple[str, ...] = Field((), title="Codes: wait", description="Error codes that mean too many requests.")
    missing_codes: tuple[str, ...] = Field(
        (), title="Codes: no such record", description="Error codes of a lookup, update or delete of what is not there."
    )
    wait_statuses: tuple[int, ...] = Field((429, 503), title="Statuses: wait", description="HTTP statuses that ask us to come back later.")
    position_expired_statuses: tuple[int, ...] = Field((410,), title="Statuses: position expired", description="A next page that is no longer there.")
    max_bytes: int = Field(64 * 1024 * 1024, title="Largest answer", description="Bytes. A larger one is refused.", ge=1024)
    max_field_bytes: int = Field(1024 * 1024, title="Largest value", description="Bytes of one value. A record with a larger one is rejected.", ge=64)


class Formats(Form):
    """How this system writes values, where a field does not say otherwise."""

    datetime: TimeFormat = Field(
        "iso", title="Date and time", description="iso, epoch_seconds, epoch_milliseconds, json_date (/Date(…)/), or a pattern such as %Y/%m/%d."
    )
    date: TimeFormat = Field(
        "iso", title="Date", description="iso, epoch_seconds, epoch_milliseconds, json_date (/Date(…)/), or a pattern such as %d.%m.%Y."
    )
    time: TimeFormat = Field("iso", title="Time", description="iso or a pattern such as %H:%M.")
    zone: str = Field("UTC", title="Time zone", description="Of times that name none, such as Asia/Shanghai.")
    decimal: Literal["number", "text"] = Field("number", title="Decimals", description="Sent as a JSON number or as text.")
    boolean: Annotated[str, AfterValidator(two_words)] = Field(
        "true/false", title="Yes and no", description="true/false (JSON), 1/0 (numbers), or two words such as Y/N."
    )


# --- requests ----------------------------------------------------------------------------------------------------------


class Request(Form):
    method: Method = Field("GET", title="Method", description="HTTP method.")
    path: str = Field(title="Path", description="Behind the system's address, such as /contacts/{key}.")
    query: dict[str, str] = Field({}, title="Query", description="Parameters; their values may hold {placeholders}.")
    headers: dict[str, str] = Field({}, title="Headers", description="Their values may hold {placeholders}.")
    body: Any = Field(None, title="Body", description="Sent as JSON; texts in it may be {placeholders}.")


class NoPages(Form, title="All in one answer"):
    type: Literal["none"] = "none"


class ByPage(Form, title="Page number"):
    type: Literal["page"] = "page"
    parameter: str = Field("page", title="Page parameter", description="Takes the number of the page.")
    first: int = Field(1, title="First page", description="0 or 1.")
    size_parameter: str = Field("per_page", title="Size parameter", description="Takes the size. Empty: none is sent.")
    size: int = Field(100, title="Page size", description="Records asked for.", ge=1, le=10_000)
    send_in: Literal["query", "body"] = Field("query", title="Send in", description="Where the parameters travel.")
    pages_path: str = Field("", title="Page count path", description="Where the answer says how many pages there are.")
    more_path: str = Field("", title="More path", description="Where the answer says whether there are more (true or false).")
    total_path: str = Field("", title="Total path", description="Where the answer says how many records there are.")
    short_page_ends: bool = Field(False, title="A short page is the last", description="Saves a request. Safe only if the size is always granted.")


class ByOffset(Form, title="Offset"):
    type: Literal["offset"] = "offset"
    parameter: str = Field("offset", title="Offset parameter", description="Takes how many records to pass over.")
    size_parameter: str = Field("limit", title="Size parameter", description="Takes the size. Empty: none is sent.")
    size: int = Field(100, title="Page size", description="Records asked for.", ge=1, le=10_000)
    send_in: Literal["query", "body"] = Field("query", title="Send in", description="Where the parameters travel.")
    more_path: str = Field("", title="More path", description="Where the answer says whether there are more (true or false).")
    total_path: str = Field("", title="Total path", description="Where the answer says how many records there are.")
    short_page_ends: bool = Field(False, title="A short page is the last", description="Saves a request. Safe only if the size is always granted.")


class ByCursor(Form, title="Cursor in the answer"):
    type: Literal["cursor"] = "cursor"
    parameter: str = Field("cursor", title="Cursor parameter", description="Takes the cursor of the answer before.")
    path: str = Field("next_cursor", title="Cursor path", description="Where the answer holds it. None, empty or absent: the last page.")
    more_path: str = Field("", title="More path", description="Where the answer says whether there are more, for cursors that never become empty.")
    size_parameter: str = Field("limit", title="Size parameter", description="Takes the size. Empty: none is sent.")
    size: int = Field(100, title="Page size", description="Records asked for.", ge=1, le=10_000)
    send_in: Literal["query", "body"] = Field("query", title="Send in", description="Where the parameters travel.")


class ByLastRecord(Form, title="After the last record"):
    type: Literal["last_record"] = "last_record"
    parameter: str = Field("starting_after", title="Parameter", description="Takes the value of the last record seen.")
    field: str = Field("id", title="Field", description="Whose value of the last record is sent.")
    size_parameter: str = Field("limit", title="Size parameter", description="Takes the size. Empty: none is sent.")
    size: int = Field(100, title="Page size", description="Records asked for.", ge=1, le=10_000)
    send_in: Literal["query", "body"] = Field("query", title="Send in", description="Where the parameters travel.")
    more_path: str = Field("", title="More path", description="Where the answer says whether there are more (true or false).")


class ByNextAddress(Form, title="Next address in the answer"):
    type: Literal["next_url"] = "next_url"
    path: str = Field(
        "next", title="Address path", description="Where the answer holds the next page's address. None, empty or absent: the last page."
    )
    size_parameter: str = Field("", title="Size parameter", description="Sent with the first page. Empty: none is sent.")
    size: int = Field(100, title="Page size", description="Records asked for.", ge=1, le=10_000)


class ByLinkHeader(Form, title="Link header"):
    type: Literal["link_header"] = "link_header"
    size_parameter: str = Field("per_page", title="Size parameter", description="Sent with the first page. Empty: none is sent.")
    size: int = Field(100, title="Page size", description="Records asked for.", ge=1, le=10_000)


Pagination = Annotated[
    NoPages | ByPage | ByOffset | ByCursor | ByLastRecord | ByNextAddress | ByLinkHeader,
    Field(discriminator="type"),
]


class ChangedSince(Form):
    """How only what changed is asked for."""

    parameter: str = Field("updated_since", title="Parameter", description="Takes the moment.")
    template: str = Field("{value}", title="Template", description="What is sent, such as updated_at>={value}.")
    until_parameter: str = Field("", title="Until parameter", description="Takes the upper bound. Empty: the system knows none.")
    until_template: str = Field("{value}", title="Until template", description="What is sent for the upper bound.")
    send_in: Literal["query", "body"] = Field("query", title="Send in", description="Where they travel.")
    format: TimeFormat = Field(
        "", title="Format", description="iso, epoch_seconds, epoch_milliseconds or a pattern. Empty: as the cursor field is written."
    )
    zone: str = Field("", title="Time zone", description="Of the moment as it is sent. Empty: the field's.")
    includes_equal: bool = Field(
        True, title="Includes the moment itself", description="No: one unit earlier is asked for, so that nothing is missed."
    )


class Count(Form):
    """A request that tells how many records there are."""

    path: str = Field("", title="Path", description="Empty: the list's own.")
    query: dict[str, str] = Field({}, title="Query", description="Parameters.")
    total_path: str = Field("", title="Total path", description="Where the answer holds the number. Empty with a header: not in the body.")
    header: str = Field("", title="Header", description="Which holds the number, such as X-Total-Count.")


class Listing(Request):
    """How records are listed."""

    record_path: str = Field("", title="Record path", description="Where the list of records is in the answer. Empty: the answer is the list.")
    none_is_empty: bool = Field(
        False, title="None is an empty list", description="Null, or nothing, at the record path means that there are no records. Else it is an error."
    )
    columns: tuple[str, ...] = Field((), title="Columns", description="For records that are lists of values: the field of each place.")
    columns_path: str = Field("", title="Columns path", description="Where the answer itself names its columns.")
    pagination: Pagination = Field(NoPages(), title="Pages", description="How one page leads to the next.")
    changed_since: ChangedSince | None = Field(None, title="Changed since", description="How only what changed is asked for. None: it cannot be.")
    count: Count | None = Field(None, title="Count", description="How many records there are. None: the system does not tell.")
    fields_parameter: str = Field("", title="Fields parameter", description="Takes the names of the fields wanted, joined by commas. Empty: none.")
    keys_path: str = Field("", title="Keys path", description="A cheaper path that lists keys alone. Empty: the list's own.")
    stable_order: bool = Field(False, title="Order is stable", description="Records changed while we read are neither missed nor seen twice.")
    deleted_field: str = Field("", title="Deleted field", description="True in a record that was deleted (a tombstone). Empty: there are none.")


class Lookup(Request):
    """How records are found by a value. {value} is one; {values} are many, joined."""

    by: str = Field("#key", title="By", description="The field that is looked up, or #key.")
    values_per_request: int = Field(1, title="Values per request", description="Above 1 the template uses {values}.", ge=1, le=1000)
    separator: str = Field(",", title="Separator", description="Between {values}.")
    record_path: str | None = Field(
        None, title="Record path", description="Where the answer holds the record or the list. None: where the list has it."
    )
    missing_statuses: tuple[int, ...] = Field((404, 410), title="Statuses: not there", description="HTTP statuses that mean no such record.")


class Write(Request):
    """How one record is written."""

    method: Method = Field("POST", title="Method", description="HTTP method.")
    body: Any = Field("{record}", title="Body", description="Sent as JSON, such as {record} or {“data”: “{record}”}.")
    nest: bool = Field(
        True, title="Nest dotted names", description="address.city becomes an object address with city. No: the name is sent as it is."
    )
    with_key: bool = Field(False, title="Key in the record", description="The record sent holds its key fields too.")
    record_path: str | None = Field(None, title="Record path", description="Where the answer holds the record as it now is. None: it does not.")
    key_path: str = Field(
        "", title="Key path", description="Where the answer holds the key of what was created. Empty: in the record, or not at all."
    )
    upsert: bool = Field(False, title="Repeating is safe", description="The same record created twice makes one (an upsert).")
    gone_statuses: tuple[int, ...] = Field((404, 410), title="Statuses: already gone", description="Of a delete: count as deleted.")


class BulkResults(Form):
    """What the answer to a bulk says of each record."""

    path: str = Field("", title="Path", description="Where the list of results is.")
    matched_by: Literal["order", "index", "key", "idempotency_key"] = Field("order", title="Matched by", description="How a result finds its record.")
    match_path: str = Field("", title="Match path", description="In a result: the index or the key it is matched by.")
    first_index: int = Field(0, title="First index", description="0 or 1.")
    only_failures: bool = Field(False, title="Only failures", description="Records that are not listed were written.")
    success_path: str = Field("", title="Success path", description="In a result: whether it succeeded. Empty: it did unless there is an error text.")
    success_values: tuple[str, ...] = Field(
        ("true", "ok", "success", "created", "updated", "deleted", "0", "200", "201", "204"),
        title="Success values",
        description="What stands there then.",
    )
    code_path: str = Field("", title="Error code path", description="In a result: the error code.")
    error_path: str = Field("", title="Error text path", description="In a result: the reason.")
    again_codes: tuple[str, ...] = Field((), title="Codes: try again", description="Success values or error codes worth another try.")
    key_path: str = Field("", title="Key path", description="In a result: the record's key.")
    record_path: str | None = Field(None, title="Record path", description="In a result: the record as it now is. None: it is not there.")


class Bulk(Request):
    """How many records are written at once."""

    method: Method = Field("POST", title="Method", description="HTTP method.")
    body: Any = Field("{records}", title="Body", description="Sent as JSON, such as {records} or {“items”: “{records}”}.")
    operation: WriteOperation = Field("create", title="Operation", description="What it does with the records.")
    item: Any = Field("{record}", title="Item", description="One record in the list, such as {record} or {“id”: “{key}”, “fields”: “{record}”}.")
    size: int = Field(100, title="Size", description="Records in one request.", ge=1, le=10_000)
    nest: bool = Field(True, title="Nest dotted names", description="As for one record.")
    with_key: bool = Field(False, title="Key in the record", description="As for one record.")
    upsert: bool = Field(False, title="Repeating is safe", description="As for one record.")
    idempotency_field: str = Field("", title="Idempotency field", description="Name in each record that takes the write's own key. Empty: none.")
    results: BulkResults | None = Field(None, title="Results", description="What the answer says of each record. None: all or nothing.")


# --- entities ----------------------------------------------------------------------------------------------------------


class FieldSettings(Form):
    name: str = Field(title="Name", description="Path in the record, such as address.city.", min_length=1)
    type: FieldType = Field(FieldType.TEXT, title="Type", description="The hub's type.")
    label: str = Field("", title="Label", description="As people call it.")
    required: bool = Field(False, title="Required", description="A create without it is refused.")
    read_only: bool = Field(False, title="Read only", description="The system sets it itself.")
    max_length: int | None = Field(None, title="Longest text", description="Characters.", gt=0)
    scale: int = Field(9, title="Decimal places", description="Of a decimal.", ge=0, le=18)
    choices: tuple[str, ...] = Field((), title="Choices", description="Values that are allowed. Empty: any.")
    description: str = Field("", title="Description", description="What it means.")
    format: str = Field(
        "",
        title="Format",
        description="Dates: iso, epoch_seconds, epoch_milliseconds, json_date, a pattern. Numbers: number, text, any. Yes/no: true/false, 1/0, Y/N. Text: any.",
    )
    zone: str = Field("", title="Time zone", description="Of times that name none. Empty: the system's.")
    null_values: tuple[str, ...] = Field((), title="Texts for nothing", description="Texts that mean there is no value, such as 00000000.")
    write_as: str = Field("", title="Write as", description="Its path in a record that is written, where it differs.")

    @field_validator("format")
    @classmethod
    def _fits_the_type(cls, value: str, known: ValidationInfo) -> str:
        type_ = known.data.get("type")
        if type_ in (FieldType.DATE, FieldType.DATETIME, FieldType.TIME):
            return time_format(value)
        return two_words(value) if value and type_ is FieldType.BOOLEAN else value


class EntitySettings(Form):
    name: str = Field(title="Name", description="Such as contacts.", min_length=1)
    label: str = Field("", title="Label", description="As people call it.")
    key: tuple[str, ...] = Field(("id",), title="Key", description="The fields that identify a record.", min_length=1)
    cursor_field: str | None = Field(None, title="Cursor field", description="Rises whenever a record changes, such as updated_at.")
    fields: tuple[FieldSettings, ...] = Field((), title="Fields", description="Empty: learnt from the first records.")
    learn_fields: bool = Field(False, title="Learn more fields", description="Look at the first records too; what is declared above wins.")
    list: Listing = Field(title="List", description="How records are listed.")
    lookups: tuple[Lookup, ...] = Field((), title="Lookups", description="How records are found by key or by match fields.")
    create: Write | None = Field(None, title="Create", description="None: cannot be created.")
    update: Write | None = Field(None, title="Update", description="None: cannot be updated.")
    delete: Write | None = Field(None, title="Delete", description="None: cannot be deleted.")
    bulk: tuple[Bulk, ...] = Field((), title="Bulk", description="At most one for each operation.")
    idempotency_header: str = Field("", title="Idempotency header", description="Takes the write's own key, such as Idempotency-Key. Empty: none.")

    @model_validator(mode="after")
    def _consistent(self) -> EntitySettings:
        names = [f.name for f in self.fields]
        if twice := {n for n in names if names.count(n) > 1}:
            raise refused(_("The field {field} is declared twice."), field=min(twice))
        for name in names:
            if inner := next((n for n in names if n.startswith(f"{name}.")), None):
                raise refused(_("The field {field} cannot be a value and also an object that holds {inner}."), field=name, inner=inner)
        operations = [b.operation for b in self.bulk]
        if len(set(operations)) < len(operations):
            raise refused(_("There are two bulk endpoints for one operation."))
        return self


def _split(address: str) -> SplitResult | None:
    """Its parts; None where it is none: what is between brackets is no IP address, or its port is no port."""
    try:
        parts = urlsplit(address)
        return parts if parts.port is None or parts.port else None
    except ValueError:
        return None


class RestSettings(Form):
    base_url: BaseAddress = Field(title="Address", description="Such as https://crm.example.com/api/v2.", examples=["https://crm.example.com/api/v2"])
    auth: Auth = Field(NoAuth(), title="Authentication", description="How we prove who we are.")
    check_path: str = Field(
        "", title="Check path", description="A cheap request that proves the connection. Empty: the first record of the first entity."
    )
    identity_path: str = Field("", title="Identity path", description="Where its answer says who we are.")
    connection: Connection = Field(Connection(), title="Connection", description="Time-outs, certificates, proxy.")
    answers: Answers = Field(Answers(), title="Answers", description="How success, errors and limits are recognised.")
    formats: Formats = Field(Formats(), title="Formats", description="How dates, numbers and yes/no are written.")
    entities: tuple[EntitySettings, ...] = Field((), title="Entities", description="What the system holds.")

    @model_validator(mode="after")
    def _entities_once(self) -> RestSettings:
        names = [e.name for e in self.entities]
        if twice := {n for n in names if names.count(n) > 1}:
            raise refused(_("The entity {entity} is declared twice."), entity=min(twice))
        return self

    def entity(self, name: str) -> EntitySettings | None:
        return next((e for e in self.entities if e.name == name), None)
