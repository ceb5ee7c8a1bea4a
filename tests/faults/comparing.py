"""A sync's target beside what its source maps to, each read anew as a whole."""

import json

from integration_hub.core import texts
from integration_hub.core.keys import canonical_key
from integration_hub.mappings.engine import compile_mapping
from integration_hub.mappings.match import first_match
from integration_hub.syncs.mapping import send_mask
from integration_hub.syncs.models import OpenRow
from integration_hub.syncs.prints import field_hashes
from integration_hub.systems.connection import connect


def compared(sync):
    """The target as it is, beside what the source maps to: keys of what is missing, differs or is there twice, apart from open rows with a reason."""
    source, target, version = sync.source.as_schema(), sync.target.as_schema(), sync.mapping.latest
    mapping = compile_mapping(version.definition, source, target)
    fields = [plan.target.name for plan in mapping.plans]
    there: dict = {}
    with connect(sync.target.system) as connector:
        pages = list(connector.read(target))
    names = {tuple(match) for match in version.definition["match"]}
    for page in pages:
        for match in names:
            for key, hashes in zip(canonical_key(page.frame, match), field_hashes(page.frame, fields), strict=True):
                there.setdefault((json.dumps(match, ensure_ascii=False), key), []).append(hashes)
    told = {"expected": 0, "missing": [], "differs": [], "twins": [], "left": {}, "rejected": 0}
    told["left"] = {row.key: texts.render(row.reason) for row in OpenRow.objects.open().filter(sync=sync)}
    with connect(sync.source.system) as connector:
        for page in connector.read(source):
            outcome = mapping.apply(page)
            told["rejected"] += outcome.rejected.height
            keys = canonical_key(page.frame, source.key).gather(outcome.frame["row"]).to_list()
            send = send_mask(outcome, fields)
            for place, (key, hashes, mask) in enumerate(zip(keys, field_hashes(outcome.frame, fields), send, strict=True)):
                found = there.get(first_match(outcome.match, place), [])
                told["expected"] += 1
                if key in told["left"]:
                    continue
                if not found:
                    told["missing"].append(key)
                elif len(found) > 1:
                    told["twins"].append(key)
                elif not (found[0] == hashes)[mask].all():
                    told["differs"].append(key)
    return told
