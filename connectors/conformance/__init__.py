"""The kit by which a connector, also a third party's, proves that it does what `connectors.base` promises and what it declares.

Use: make a test class of `Conformance` with a fixture `prepared` that yields a fresh system for each test, really spoken to:

    from connectors.conformance import Conformance, Prepared

    class TestAcme(Conformance):
        @pytest.fixture
        def prepared(self, acme_server):
            acme_server.fill(contacts=25)
            yield Prepared(
                connector=AcmeConnector,
                settings={"base_url": acme_server.url, "token": "s3cret-token"},
                entity="contacts",
                count=25,
                new=lambda n: {"name": f"New {n}", "email": f"new{n}@example.com"},
                changed={"name": "Changed"},
            )

Every capability that the discovered entity declares is exercised; what is not declared is skipped and says so. What `Prepared` leaves out (a
refused record, a cut connection, a value that does not fit) is skipped too: give as much as the system can be made to do.
"""

from __future__ import annotations

from connectors.conformance.describing import Describing
from connectors.conformance.hosting import Hosting
from connectors.conformance.kit import Prepared
from connectors.conformance.looking_up import LookingUp
from connectors.conformance.reading import Reading
from connectors.conformance.writing import Writing

__all__ = ["Conformance", "Prepared"]


class Conformance(Describing, Reading, LookingUp, Writing, Hosting):
    """Inherit it and give the fixture `prepared`."""
