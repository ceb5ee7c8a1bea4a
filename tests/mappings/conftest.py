"""The OA and the CRM of the sandbox, spoken to by their real connector, as the syncs' tests have them."""

from tests.syncs.conftest import by, crm, oa, sandbox, sandbox_server

__all__ = ["by", "crm", "oa", "sandbox", "sandbox_server"]
