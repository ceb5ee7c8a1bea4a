from __future__ import annotations

import contextlib
import datetime as dt
import ssl
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from connectors.base import FreeHost, Host
from connectors.odata import ODataConnector, ODataSettings, services
from connectors.rest import RestConnector, RestSettings
from tests.connectors.file_places import Servers
from tests.connectors.odata_service import ODataServer, ODataService
from tests.connectors.shop import Server, Shop
from tests.connectors.sql_places import Place, place

FIELDS = [
    {"name": "id", "type": "integer", "read_only": True},
    {"name": "name", "required": True},
    {"name": "email"},
    {"name": "amount", "type": "number"},
    {"name": "price", "type": "decimal", "format": "text"},
    {"name": "active", "type": "boolean"},
    {"name": "born", "type": "date"},
    {"name": "updated_at", "type": "datetime"},
    {"name": "address.city"},
    {"name": "tags", "type": "json"},
]


def contacts(**more: Any) -> dict[str, Any]:
    """Settings of the entity the shop holds."""
    listing = {
        "path": "/contacts",
        "record_path": "items",
        "pagination": {"type": "offset", "size": 100},
        "changed_since": {"parameter": "since", "until_parameter": "until"},
        "count": {"total_path": "total"},
        "stable_order": True,
    }
    return {
        "name": "contacts",
        "cursor_field": "updated_at",
        "fields": FIELDS,
        "list": listing | more.pop("list", {}),
        "lookups": [
            {"by": "#key", "path": "/contacts/{value}", "record_path": ""},
            {"by": "email", "path": "/contacts", "query": {"email": "{value}"}, "record_path": "items"},
        ],
        "create": {"path": "/contacts", "record_path": "", "key_path": "id"},
        "update": {"method": "PATCH", "path": "/contacts/{key}", "record_path": ""},
        "delete": {"method": "DELETE", "path": "/contacts/{key}"},
        "idempotency_header": "Idempotency-Key",
        **more,
    }


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    running = Server()
    yield running
    running.close()


@pytest.fixture
def shop(server: Server) -> Shop:
    """The shop, empty and without faults."""
    fresh, url = Shop(), server.shop.url
    server.shop.__dict__.update(fresh.__dict__)
    server.shop.url = url
    return server.shop


@pytest.fixture
def connect(shop: Shop) -> Iterator[Callable[..., RestConnector]]:
    """A function that makes a connector to the shop: connect(entity={…}, auth={…}, host=…)."""
    opened: list[RestConnector] = []

    def make(*, entity: dict[str, Any] | None = None, host: Host | None = None, **settings: Any) -> RestConnector:
        whole = {"base_url": shop.url, "entities": [contacts(**(entity or {}))], **settings}
        opened.append(RestConnector(RestSettings.model_validate(whole), host or FreeHost("Shop")))
        return opened[-1]

    yield make
    for connector in opened:
        connector.close()


@pytest.fixture(scope="session")
def odata_server() -> Iterator[ODataServer]:
    running = ODataServer()
    yield running
    running.close()


@pytest.fixture
def service(odata_server: ODataServer) -> ODataService:
    """The OData service, empty and without faults."""
    fresh, url = ODataService(), odata_server.shop.url
    odata_server.shop.__dict__.update(fresh.__dict__)
    odata_server.shop.url = url
    return odata_server.shop


@pytest.fixture
def odata(service: ODataService) -> Iterator[Callable[..., ODataConnector]]:
    """A function that makes a connector to the OData service: odata("v4", entities=[…], host=…)."""
    opened: list[ODataConnector] = []

    def make(version: str = "v4", *, host: Host | None = None, **settings: Any) -> ODataConnector:
        whole = {"base_url": f"{service.url}/{version}", "connection": {"tries": 1}, **settings}
        opened.append(ODataConnector(ODataSettings.model_validate(whole), host or FreeHost("ERP")))
        services._kept.clear()  # each test has a service of its own, under one address
        return opened[-1]

    yield make
    for connector in opened:
        connector.close()


@pytest.fixture(scope="session")
def sql_places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Place]]:
    """A function that gives the session's database of a kind, as new."""
    with contextlib.ExitStack() as stack:
        made: dict[str, Place] = {}

        def give(kind: str) -> Place:
            if kind not in made:
                made[kind] = stack.enter_context(place(kind, tmp_path_factory.mktemp("sql")))
            made[kind].clean()
            return made[kind]

        yield give


@pytest.fixture(scope="session")
def file_servers() -> Iterator[Servers]:
    """The servers of tests over files, one of each for the session."""
    running = Servers()
    yield running
    running.close()


def certificate() -> tuple[str, str]:
    """A self-signed certificate for localhost and its key, as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1)).not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return made.public_bytes(serialization.Encoding.PEM).decode(), private.decode()


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, str]]:
    """(a server that speaks TLS under a certificate of its own, that certificate)"""
    pem, key = certificate()
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    path.write_text(pem + key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    server = Server(context)
    yield server, pem
    server.close()
