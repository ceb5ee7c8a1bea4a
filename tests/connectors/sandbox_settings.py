"""How the REST connector is told to speak to the six systems of the sandbox. The demo is made from these settings too.

`settings("crm", "http://127.0.0.1:8765")` is what an administrator would fill in, as plain JSON with the demo's secrets in place.
"""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]


def settings(system: str, address: str) -> Json:
    """The settings of one of SYSTEMS, for a sandbox at this address."""
    return SYSTEMS[system](address.rstrip("/"))


def field(name: str, type_: str = "text", **more: Any) -> Json:
    return {"name": name, **({"type": type_} if type_ != "text" else {}), **more}


def fixed(name: str, type_: str = "text", **more: Any) -> Json:
    """A field that the system sets itself."""
    return field(name, type_, read_only=True, **more)


# --- CRM: OAuth 2, cursor in the body, snake_case ------------------------------------------------------------------------

ADDRESS = [
    field("address.street", max_length=120),
    field("address.city", max_length=60),
    field("address.postal_code", max_length=12),
    field("address.country"),
]
STAMPS = [fixed("created_at", "datetime"), fixed("updated_at", "datetime")]
OWN_AND_EXTERNAL = [fixed("id", label="Id"), field("external_id", max_length=64, label="External id")]


def crm(address: str) -> Json:
    return {
        "base_url": f"{address}/crm",
        "auth": {
            "type": "oauth2_client_credentials",
            "token_url": f"{address}/crm/oauth/token",
            "client_id": "hub",
            "client_secret": "crm-demo-secret",
        },
        "check_path": "/v1/me",
        "identity_path": "organization",
        "answers": {"error_path": "detail"},
        "connection": {"in_flight": 32},
        "entities": [
            crm_entity(
                "users",
                "Users",
                [
                    *OWN_AND_EXTERNAL,
                    field("employee_id", max_length=32, label="Employee number"),
                    field("full_name", required=True, max_length=80, label="Name"),
                    field("email", required=True, max_length=120, label="E-mail"),
                    field("phone", max_length=40, label="Phone"),
                    field("title", max_length=80, label="Title"),
                    field("locale", choices=["zh-CN", "en-GB"], label="Language"),
                    field("is_active", "boolean", label="Active"),
                    *STAMPS,
                ],
                ["external_id", "employee_id", "email"],
            ),
            crm_entity(
                "accounts",
                "Accounts",
                [
                    *OWN_AND_EXTERNAL,
                    field("name", required=True, max_length=120, label="Name"),
                    field("industry", label="Industry"),
                    field("tax_id", max_length=32, label="Tax number"),
                    field("website", max_length=200, label="Website"),
                    field("phone", max_length=40, label="Phone"),
                    *ADDRESS,
                    field("annual_revenue.amount", "decimal", scale=2, label="Annual revenue"),
                    field("annual_revenue.currency", label="Currency"),
                    field("employee_count", "integer", label="Employees"),
                    field("status", choices=["prospect", "customer", "former"], label="Status"),
                    field("owner_id", label="Owner"),
                    field("tags", "json", label="Tags"),
                    *STAMPS,
                ],
                ["external_id", "tax_id", "name"],
            ),
            crm_entity(
                "contacts",
                "Contacts",
                [
                    *OWN_AND_EXTERNAL,
                    field("account_id", label="Account"),
                    field("name.first", max_length=60, label="First name"),
                    field("name.last", max_length=60, label="Last name"),
                    field("email", max_length=120, label="E-mail"),
                    field("mobile", max_length=40, label="Mobile"),
                    field("job_title", max_length=80, label="Job title"),
                    field("language", choices=["zh", "en"], label="Language"),
                    field("marketing_consent", "boolean", label="Consent to marketing"),
                    field("score", "number", label="Score"),
                    field("birthday", "date", label="Birthday"),
                    *ADDRESS,
                    *STAMPS,
                ],
                ["external_id", "email"],
            ),
            crm_entity(
                "opportunities",
                "Opportunities",
                [
                    *OWN_AND_EXTERNAL,
                    field("account_id", required=True, label="Account"),
                    field("name", required=True, max_length=120, label="Name"),
                    field("stage", choices=["qualified", "proposal", "negotiation", "won", "lost"], label="Stage"),
                    field("probability", "number", label="Probability"),
                    field("amount", "decimal", scale=2, label="Amount"),
                    field("currency", label="Currency"),
                    field("close_date", "date", label="Close date"),
                    field("owner_id", label="Owner"),
                    *STAMPS,
                ],
                ["external_id"],
            ),
        ],
    }


def crm_entity(name: str, label: str, fields: list[Json], lookups: list[str]) -> Json:
    path = f"/v1/{name}"
    return {
        "name": name,
        "label": label,
        "key": ["id"],
        "cursor_field": "updated_at",
        "fields": fields,
        "list": {
            "path": path,
            "record_path": "data",
            "pagination": {"type": "cursor", "parameter": "cursor", "path": "next_cursor", "size": 200},
            "changed_since": {"parameter": "updated_since", "until_parameter": "updated_before"},
            "count": {"path": f"{path}/count", "total_path": "count"},
        },
        "lookups": [
            {
                "by": by,
                "path": path,
                "query": {"id" if by == "#key" else by: "{values}", "limit": "500"},
                "values_per_request": 50,
                "record_path": "data",
            }
            for by in ("#key", *lookups)
        ],
        "create": {"path": path, "record_path": "", "key_path": "id"},
        "update": {"method": "PATCH", "path": f"{path}/{{key}}", "record_path": ""},
        "delete": {"method": "DELETE", "path": f"{path}/{{key}}"},
    }


# --- OA: a token call, always 200 with errcode, camelCase, Shanghai time -------------------------------------------------

OA_STAMPS = [fixed("createTime", "datetime", format="epoch_milliseconds"), fixed("modifiedTime", "datetime")]


def oa(address: str) -> Json:
    return {
        "base_url": f"{address}/oa",
        "auth": {
            "type": "token_call",
            "method": "POST",
            "path": "/gettoken",
            "body": {"appkey": "{appkey}", "appsecret": "{appsecret}"},
            "values": {"appkey": "hub", "appsecret": "oa-demo-secret"},
            "token_path": "access_token",
            "expires_path": "expires_in",
            "send_in": "query",
            "name": "access_token",
        },
        "answers": {
            "success_path": "errcode",
            "success_values": ["0"],
            "error_path": "errmsg",
            "expired_codes": ["40014", "42001"],
            "wait_codes": ["45009"],
            "missing_codes": ["60121"],
        },
        "formats": {"datetime": "%Y-%m-%d %H:%M:%S", "zone": "Asia/Shanghai"},
        "entities": [
            oa_entity(
                "user",
                "Users",
                "userId",
                [
                    fixed("userId", label="Employee number"),
                    field("name", required=True, max_length=40, label="姓名"),
                    field("enName", max_length=80, label="English name"),
                    field("email", max_length=120, label="E-mail"),
                    field("mobile", max_length=40, label="Mobile"),
                    field("deptCode", label="Department"),
                    field("position", max_length=60, label="Position"),
                    field("status", "integer", label="Status", description="1 at work, 2 on leave, 3 left"),
                    field("hireDate", "date", label="Hired on"),
                    *OA_STAMPS,
                ],
                ["email"],
            ),
            oa_entity(
                "department",
                "Departments",
                "deptCode",
                [fixed("deptCode"), field("name", required=True, max_length=60), field("parentCode"), field("managerId"), *OA_STAMPS],
                [],
            ),
            oa_entity(
                "approval",
                "Approvals",
                "instanceId",
                [
                    fixed("instanceId"),
                    field("title", required=True, max_length=120),
                    field("type", required=True, choices=["LEAVE", "EXPENSE", "PURCHASE", "CONTRACT"]),
                    field("status", choices=["RUNNING", "COMPLETED", "TERMINATED"]),
                    field("applicantId", required=True),
                    field("formValues", "json"),
                    field("finishTime", "datetime", format="epoch_milliseconds"),
                    *OA_STAMPS,
                ],
                [],
            ),
        ],
    }


def oa_entity(name: str, label: str, key: str, fields: list[Json], lookups: list[str]) -> Json:
    path = f"/api/{name}"
    return {
        "name": name,
        "label": label,
        "key": [key],
        "cursor_field": "modifiedTime",
        "fields": fields,
        "list": {
            "path": f"{path}/list",
            "record_path": "result.list",
            "pagination": {"type": "page", "parameter": "pageNo", "size_parameter": "pageSize", "size": 100, "more_path": "result.hasMore"},
            "changed_since": {"parameter": "modifiedSince"},
            "count": {"query": {"pageSize": "1"}, "total_path": "result.totalCount"},
            "stable_order": True,
        },
        "lookups": [
            {
                "by": by,
                "path": f"{path}/list",
                "query": {key if by == "#key" else by: "{values}", "pageSize": "200"},
                "values_per_request": 20,
                "record_path": "result.list",
            }
            for by in ("#key", *lookups)
        ],
        "create": {"path": f"{path}/create", "key_path": f"result.{key}"},
        "update": {"path": f"{path}/update", "with_key": True},
        "delete": {"path": f"{path}/delete", "body": {key: "{key}"}},
    }


# --- ERP: API key, offset and limit, bulk, idempotency keys, UPPER_SNAKE -------------------------------------------------

ERP_STAMPS = [fixed("CREATED_ON", "date"), fixed("CHANGED_AT", "datetime")]


def erp(address: str) -> Json:
    return {
        "base_url": f"{address}/erp",
        "auth": {"type": "api_key", "name": "X-API-Key", "key": "erp-demo-key"},
        "check_path": "/api/ping",
        "identity_path": "USER",
        "answers": {"code_path": "ERROR.CODE", "error_path": "ERROR.MESSAGE"},
        "formats": {"datetime": "%Y%m%d%H%M%S", "date": "%Y%m%d", "decimal": "text", "boolean": "X/"},
        "entities": [
            erp_entity(
                "customers",
                "Customers",
                "CUSTOMER_NO",
                [
                    fixed("CUSTOMER_NO", label="Number"),
                    field("EXT_REF", max_length=40, label="Reference"),
                    field("NAME", required=True, max_length=80, label="Name"),
                    field("TAX_NO", max_length=20, label="Tax number"),
                    field("STREET", max_length=80, label="Street"),
                    field("CITY", max_length=40, label="City"),
                    field("POSTAL_CODE", max_length=10, label="Postal code"),
                    field("COUNTRY", required=True, max_length=2, label="Country"),
                    field("PHONE", max_length=30, label="Phone"),
                    field("EMAIL", max_length=120, label="E-mail"),
                    field("CURRENCY", max_length=3, label="Currency"),
                    field("CREDIT_LIMIT", "decimal", scale=2, label="Credit limit"),
                    field("PAYMENT_TERMS", choices=["N030", "N060", "PREP"], label="Payment terms"),
                    field("BLOCKED", "boolean", label="Blocked"),
                    *ERP_STAMPS,
                ],
                ["EXT_REF", "TAX_NO"],
            ),
            erp_entity(
                "products",
                "Products",
                "SKU",
                [
                    fixed("SKU"),
                    field("NAME", required=True, max_length=80),
                    field("NAME_ZH", max_length=80),
                    field("CATEGORY"),
                    field("UNIT", max_length=3),
                    field("PRICE", "decimal", scale=2, required=True),
                    field("CURRENCY", max_length=3),
                    field("WEIGHT_KG", "decimal", scale=3),
                    field("ACTIVE", "boolean"),
                    *ERP_STAMPS,
                ],
                [],
            ),
            erp_entity(
                "sales_orders",
                "Sales orders",
                "ORDER_NO",
                [
                    fixed("ORDER_NO"),
                    field("CUSTOMER_NO", required=True),
                    field("CUSTOMER_NAME", max_length=120),
                    field("PO_NUMBER", max_length=40),
                    field("ORDER_DATE", "date"),
                    field("DELIVERY_DATE", "date"),
                    field("STATUS", choices=["OPEN", "CONFIRMED", "SHIPPED", "CLOSED"]),
                    field("SKU"),
                    field("QUANTITY", "decimal", scale=3),
                    field("CURRENCY", max_length=3),
                    field("NET_AMOUNT", "decimal", scale=2),
                    field("TAX_AMOUNT", "decimal", scale=2),
                    field("PRIORITY", choices=["1", "2", "3"]),
                    field("LINES", "json"),
                    *ERP_STAMPS,
                ],
                ["PO_NUMBER"],
            ),
        ],
    }


def erp_entity(name: str, label: str, key: str, fields: list[Json], lookups: list[str]) -> Json:
    path = f"/api/{name}"
    results = {
        "path": "RESULTS",
        "matched_by": "index",
        "match_path": "INDEX",
        "success_path": "STATUS",
        "success_values": ["CREATED", "UPDATED"],
        "error_path": "ERROR.MESSAGE",
        "code_path": "ERROR.CODE",
        "key_path": key,
    }
    bulk = {"path": f"{path}/bulk", "size": 200, "idempotency_field": "IDEMPOTENCY_KEY", "results": results}
    return {
        "name": name,
        "label": label,
        "key": [key],
        "cursor_field": "CHANGED_AT",
        "fields": fields,
        "list": {
            "path": path,
            "record_path": "ITEMS",
            "pagination": {"type": "offset", "parameter": "OFFSET", "size_parameter": "LIMIT", "size": 500, "total_path": "TOTAL"},
            "changed_since": {"parameter": "CHANGED_SINCE"},
            "count": {"query": {"LIMIT": "1"}, "total_path": "TOTAL"},
            "stable_order": True,
        },
        "lookups": [
            {
                "by": by,
                "path": path,
                "query": {key if by == "#key" else by: "{values}", "LIMIT": "1000"},
                "values_per_request": 50,
                "record_path": "ITEMS",
            }
            for by in ("#key", *lookups)
        ],
        "delete": {"method": "DELETE", "path": f"{path}/{{key}}"},
        "bulk": [
            {**bulk, "operation": "create", "body": {"MODE": "CREATE", "ITEMS": "{records}"}},
            {**bulk, "operation": "update", "body": {"MODE": "UPDATE", "KEY": key, "ITEMS": "{records}"}, "with_key": True},
        ],
    }


# --- MRP: signed requests, rows as arrays, the next page as an address, PascalCase ----------------------------------------


def mrp(address: str) -> Json:
    path = "/v2/production-orders"
    return {
        "base_url": f"{address}/mrp",
        "auth": {
            "type": "hmac",
            "key_id": "hub",
            "secret": "mrp-demo-secret",
            "sign": "{timestamp}\n{method}\n{target}\n{body_hash}",
            "headers": {"X-Key-Id": "{key_id}", "X-Timestamp": "{timestamp}", "X-Signature": "{signature}"},
        },
        "check_path": "/v2/plant",
        "identity_path": "Name",
        "answers": {"code_path": "Fault.Code", "error_path": "Fault.Reason"},
        "formats": {"datetime": "%d/%m/%Y %H:%M"},
        "entities": [
            {
                "name": "production-orders",
                "label": "Production orders",
                "key": ["OrderNo"],
                "cursor_field": "ChangedAt",
                "fields": [
                    fixed("OrderNo"),
                    field("SalesOrderRef", max_length=20),
                    field("CustomerRef", max_length=20),
                    field("ItemCode", required=True, max_length=20),
                    field("Quantity", "number", required=True),
                    field("DueDate", "datetime", required=True),
                    field("Priority", "integer"),
                    field("Status", choices=["Planned", "Released", "InProgress", "Done"]),
                    field("WorkCentre", max_length=40),
                    field("Remark", max_length=200),
                    fixed("CreatedAt", "datetime"),
                    fixed("ChangedAt", "datetime"),
                ],
                "list": {
                    "path": path,
                    "record_path": "rows",
                    "columns_path": "columns",
                    "pagination": {"type": "next_url", "path": "next", "size_parameter": "size", "size": 200},
                    "changed_since": {"parameter": "changedSince"},
                },
                "lookups": [
                    {"by": by, "path": path, "query": {name: "{values}"}, "values_per_request": 20, "record_path": "rows"}
                    for by, name in (("#key", "OrderNo"), ("SalesOrderRef", "SalesOrderRef"))
                ],
                "create": {"path": path, "record_path": "", "key_path": "OrderNo"},
                "update": {"method": "PUT", "path": f"{path}/{{key}}", "record_path": ""},
                "delete": {"method": "DELETE", "path": f"{path}/{{key}}"},
            }
        ],
    }


# --- help desk: basic authentication, kebab-case, Unix seconds, records under their name ---------------------------------


def helpdesk(address: str) -> Json:
    path = "/api/tickets"
    wrapped = {"body": {"ticket": "{record}"}, "record_path": "ticket"}
    return {
        "base_url": f"{address}/helpdesk",
        "auth": {"type": "basic", "user": "hub@hailan.example", "password": "helpdesk-demo-password"},
        "check_path": "/api/me",
        "identity_path": "user.email",
        "answers": {"code_path": "errors.0.code", "error_path": "errors.0.detail"},
        "formats": {"datetime": "epoch_seconds"},
        "entities": [
            {
                "name": "tickets",
                "label": "Tickets",
                "key": ["id"],
                "cursor_field": "updated-at",
                "fields": [
                    fixed("id", "integer"),
                    field("external-id", max_length=64),
                    field("subject", required=True, max_length=150),
                    field("description", max_length=65_535),
                    field("status", choices=["new", "open", "pending", "solved", "closed"]),
                    field("priority", choices=["low", "normal", "high", "urgent"]),
                    field("requester-name", max_length=80),
                    field("requester-email"),
                    field("organization", max_length=120),
                    field("assignee", max_length=32),
                    field("tags", "json"),
                    field("satisfaction", "integer"),
                    field("due-at", "datetime"),
                    fixed("created-at", "datetime"),
                    fixed("updated-at", "datetime"),
                ],
                "list": {
                    "path": path,
                    "record_path": "tickets",
                    "pagination": {"type": "cursor", "path": "meta.next-cursor", "more_path": "meta.has-more", "size": 100},
                    "changed_since": {"parameter": "updated-since"},
                },
                "lookups": [
                    {"by": by, "path": path, "query": {name: "{values}", "limit": "200"}, "values_per_request": 20, "record_path": "tickets"}
                    for by, name in (("#key", "id"), ("external-id", "external-id"))
                ],
                "create": {"path": path, "key_path": "ticket.id", **wrapped},
                "update": {"method": "PUT", "path": f"{path}/{{key}}", **wrapped},
                "delete": {"method": "DELETE", "path": f"{path}/{{key}}"},
            }
        ],
    }


# --- marketing: fixed token, bare arrays, Link header, put under the e-mail address ---------------------------------------


def marketing(address: str) -> Json:
    subscribers, lists = "/v3/subscribers", "/v3/lists"
    pages = {
        "pagination": {"type": "link_header", "size_parameter": "per_page", "size": 100},
        "changed_since": {"parameter": "since"},
        "count": {"query": {"per_page": "1"}, "header": "X-Total-Count"},
        "stable_order": True,
    }
    return {
        "base_url": f"{address}/marketing",
        "auth": {"type": "bearer", "token": "marketing-demo-token"},
        "check_path": "/v3/account",
        "identity_path": "account",
        "answers": {"error_path": "message"},
        "entities": [
            {
                "name": "subscribers",
                "label": "Subscribers",
                "key": ["email"],
                "cursor_field": "changed",
                "fields": [
                    field("email", required=True, max_length=120),
                    field("status", choices=["subscribed", "unsubscribed", "bounced", "pending"]),
                    field("merge.FNAME", max_length=60),
                    field("merge.LNAME", max_length=60),
                    field("merge.COMPANY", max_length=120),
                    field("language", choices=["zh", "en", "de", "fr"]),
                    field("country", max_length=2),
                    field("tags", "json"),
                    field("lists", "json"),
                    field("source", max_length=60),
                    fixed("signup", "datetime"),
                    fixed("changed", "datetime"),
                ],
                "list": {"path": subscribers, **pages},
                "lookups": [
                    {
                        "by": "#key",
                        "path": subscribers,
                        "query": {"email": "{values}", "per_page": "250"},
                        "values_per_request": 50,
                        "record_path": "",
                    }
                ],
                "create": {"method": "PUT", "path": f"{subscribers}/{{email}}", "record_path": "", "upsert": True},
                "update": {"method": "PATCH", "path": f"{subscribers}/{{key}}", "record_path": ""},
                "delete": {"method": "DELETE", "path": f"{subscribers}/{{key}}"},
            },
            {
                "name": "lists",
                "label": "Lists",
                "key": ["id"],
                "cursor_field": "changed",
                "fields": [fixed("id"), field("name", required=True, max_length=80), field("public", "boolean"), fixed("changed", "datetime")],
                "list": {"path": lists, **pages},
                "lookups": [
                    {"by": by, "path": lists, "query": {name: "{values}", "per_page": "250"}, "values_per_request": 20, "record_path": ""}
                    for by, name in (("#key", "id"), ("name", "name"))
                ],
                "create": {"path": lists, "record_path": "", "key_path": "id"},
                "update": {"method": "PATCH", "path": f"{lists}/{{key}}", "record_path": ""},
                "delete": {"method": "DELETE", "path": f"{lists}/{{key}}"},
            },
        ],
    }


SYSTEMS = {"crm": crm, "oa": oa, "erp": erp, "mrp": mrp, "helpdesk": helpdesk, "marketing": marketing}
