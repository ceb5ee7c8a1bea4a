"""What the settings of connectors are made of."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Secret = Annotated[str, Field(json_schema_extra={"secret": True}, repr=False)]


class Form(BaseModel):
    """A part of the form: nothing misspelt is accepted."""

    model_config = ConfigDict(extra="forbid", frozen=True)
