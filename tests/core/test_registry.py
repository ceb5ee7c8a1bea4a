import pytest

from integration_hub.core.registry import Registry


def test_no_name_is_registered_twice():
    colours = Registry("colours")
    colours.register("red", 1)

    with pytest.raises(ValueError, match="Two colours are called red"):
        colours.register("red", 2)
