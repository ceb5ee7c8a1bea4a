"""The transform that follows a reference: from the key of a record here to the key of the record there that it is linked with."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Literal

from connectors.base import _

from .base import Example, Parameter, T, transform

if TYPE_CHECKING:
    import polars as pl


@transform(
    _("Link"),
    _("Takes the value for the key of another record of the source, and gives the key of the record in the target that is linked with it."),
    group=_("References"),
    takes=T.TEXT,
    gives=T.TEXT,
    reason=_("{entity} {value} has no record in the target yet."),
    null_is_an_answer=lambda parameters: parameters.missing == "null",
    examples=[
        Example("42", "ACC-7", {"entity": "accounts"}, linked={"42": "ACC-7", "43": "ACC-9"}),
        Example("44", None, {"entity": "accounts", "missing": "null"}, linked={"42": "ACC-7", "43": "ACC-9"}),
    ],
)
def link(
    value: "pl.Expr",
    linked: Mapping[str, str],
    entity: Annotated[str, Parameter(title=_("Entity it points to"), min_length=1, max_length=200, json_schema_extra={"widget": "entity"})],
    missing: Annotated[Literal["park", "reject", "null"], Parameter(title=_("Where there is no link yet"))] = "park",
    target: Annotated[str, Parameter(title=_("Entity of the target"), max_length=200, json_schema_extra={"widget": "target_entity"})] = "",
) -> "pl.Expr":
    import polars as pl

    return value.replace_strict(list(linked), list(linked.values()), default=None, return_dtype=pl.String)
