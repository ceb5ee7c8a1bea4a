"""Reading an entity set page by page, as the service leads (OData Protocol 4.01, section 11.2.6.7), or by $top and $skip where it does not."""

from __future__ import annotations

from collections.abc import Sequence

from yarl import URL

from connectors.base import Cursor, Entity, Page, SettingsError, _
from connectors.odata.columns import Column
from connectors.odata.entitysets import EntitySet
from connectors.odata.settings import Lists
from connectors.rest.answers import Answer
from connectors.rest.client import Call, Client
from connectors.rest.pages import Pages
from connectors.rest.pagination import Step
from connectors.rest.records import Decoder


class Reading(Pages):
    """One pass. A position is {"url": the next page's address}, or {"skip": how many records to pass over}, or both within such a part."""

    repeats = _("{system} answered two pages of {entity} with the same records: the list has no end.")

    def __init__(
        self,
        client: Client,
        place: EntitySet,
        lists: Lists,
        entity: Entity,
        *,
        since: Cursor | None,
        until: str | None,
        fields: Sequence[str] | None,
        keys_only: bool,
    ) -> None:
        super().__init__(client, entity, fields, keys_only=keys_only)
        self._place, self._lists = place, lists
        self._decoder = Decoder(list(place.forms(entity, self._wanted).values()))
        self._options = {"$select": place.select(self._wanted), **self._range(since, until)}

    def _range(self, since: Cursor | None, until: str | None) -> dict[str, str]:
        """Only what changed, and in which order: by the key, what changed by the cursor field before it."""
        names = list(self._place.own_key)
        conditions = []
        if since is not None or until is not None:
            column = self._cursor()
            try:
                if since is not None:
                    conditions.append(f"{column.path} ge {column.since(since.value)}")
                    names = list(dict.fromkeys([column.field.name, *names]))
                if until is not None:
                    upper = f"{column.path} le {column.until(until)}"
                    never = since is None and column.is_nullable  # what never changed is part of the whole
                    conditions.append(f"({upper} or {column.path} eq null)" if never else upper)
            except ValueError:
                raise SettingsError(
                    _("The cursor {value} is no value of {field} in {entity} of {system}. Set the cursor of the sync back."),
                    value=since.value if since is not None else until,
                    field=column.field.name,
                    **self._names(),
                ) from None
        order = ",".join(self._place.columns[name].path for name in names) if self._place.can_sort else ""
        return {"$filter": " and ".join(conditions), "$orderby": order}

    def _cursor(self) -> Column:
        if self._entity.cursor_field is None:
            raise SettingsError(_("{entity} of {system} has no cursor field. Choose one under Entities in the settings."), **self._names())
        return self._place.column(self._entity, self._entity.cursor_field)

    def _call(self, step: Step | None) -> Call:
        if step is not None and "url" in step:
            return self._led_to(step["url"])
        options = dict(self._options)
        if self._lists.paging == "skip":
            options |= {"$top": str(self._lists.page_size), "$skip": str(step["skip"] if step else 0)}
        return self._client.call("GET", self._place.query(options), headers=self._headers())

    def _headers(self) -> dict[str, str]:
        return {**self._place.headers, "Prefer": f"odata.maxpagesize={self._lists.page_size}"}

    def _led_to(self, link: str) -> Call:
        """The call to an address that the service gave; to no other origin than its own."""
        settings = self._client.settings
        return self._client.follow(link, URL(settings.base_url), {**settings.connection.headers, **self._headers()})

    async def _taken(self, answer: Answer, call: Call, step: Step | None) -> tuple[Page, Step | None]:
        records = self._place.records(self._client, self._decoder, answer)
        page = Page(records.frame, None, records.misfits, records.absent)
        return page, self._following(answer, call, step, len(page.frame))

    def _following(self, answer: Answer, call: Call, step: Step | None, count: int) -> Step | None:
        skipped = {"skip": (step or {}).get("skip", 0) + count} if self._lists.paging == "skip" else {}
        if link := self._place.following(answer):
            return {"url": str(self._client.follow(link, call.url, {}).url), **skipped}
        return skipped if skipped and (count or (step is not None and "url" in step)) else None
