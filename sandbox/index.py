"""The page at `/`: which systems there are, how one signs in, where their documents are."""

from __future__ import annotations

import html

from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import Route

from sandbox.systems.base import System
from sandbox.world import World

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Sandbox: six demo systems</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; max-width: 68rem; margin: 2.5rem auto; padding: 0 1.5rem; color: #1f2933; }}
h1 {{ font-size: 1.5rem; margin: 0; }} h2 {{ font-size: 1.05rem; margin: 0; }} p {{ margin: .25rem 0 1rem; max-width: 46rem; }}
section {{ border-top: 1px solid #d5dbe1; padding: 1rem 0; }} code {{ font-size: .9em; }}
dl {{ display: grid; grid-template-columns: 9rem 1fr; gap: .15rem 1rem; margin: .5rem 0 0; }}
dt {{ color: #52606d; }} dd {{ margin: 0; overflow-wrap: anywhere; }}
@media (prefers-color-scheme: dark) {{
 body {{ background: #15191e; color: #dde3ea; }} section {{ border-color: #353d47; }} dt {{ color: #9aa5b1; }}
 a {{ color: #8ab4f8; }} }}
</style></head><body>
<h1>Sandbox</h1><p>Six demo systems of one company, each with ways of its own. All data is invented. {life}</p>
{systems}
</body></html>"""
SYSTEM = """<section><h2>{title}</h2><p>{about}</p><dl>{rows}</dl></section>"""


def routes(world: World) -> list[Route]:
    def page(_: Request) -> HTMLResponse:
        life = "Life is paused." if world.life.is_paused else "Records are made and changed every few seconds; none is deleted."
        return HTMLResponse(PAGE.format(life=life, systems="".join(map(_system, world.systems.values()))))

    def _system(system: System) -> str:
        entities = ", ".join(f"{entity.name} ({len(system.tables[entity.name]):,})" for entity in system.entities)
        rows = [
            ("Entities", html.escape(entities)),
            *((html.escape(name), f"<code>{html.escape(value)}</code>") for name, value in system.credentials.items()),
        ]
        rows.append(("Document", f'<a href="/{system.name}/openapi.json">/{system.name}/openapi.json</a>'))
        return SYSTEM.format(
            title=html.escape(system.title), about=html.escape(system.about), rows="".join(f"<dt>{name}</dt><dd>{value}</dd>" for name, value in rows)
        )

    return [Route("/", page)]
