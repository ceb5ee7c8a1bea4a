import pytest


@pytest.fixture(autouse=True)
def _memory(memory):
    """All tests here speak to systems of kind memory."""
