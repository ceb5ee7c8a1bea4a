"""`python -m sandbox`: start the demo systems."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import socket
import sys
from pathlib import Path

import uvicorn

from sandbox.app import App
from sandbox.world import World


def main() -> None:
    asked = arguments()
    logging.basicConfig(level=logging.WARNING if asked.quiet else logging.INFO, format="%(message)s")
    world = World(seed=asked.seed, scale=asked.scale, folder=asked.data)
    world.life.is_paused = asked.quiet_life
    with listening_socket(asked.host, asked.port) as door:
        print(f"Sandbox: http://{asked.host}:{door.getsockname()[1]}/", flush=True)  # noqa: T201  for people and for sandbox.testing
        server = uvicorn.Server(configuration(world))
        asyncio.run(serve(server, door, until_input_ends=asked.until_input_ends))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m sandbox", description="Six demo systems in one process, spoken to over HTTP.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8900, help="0: any free one; the first line says which")
    parser.add_argument("--data", type=Path, metavar="FOLDER", help="keep everything here; without it, every start begins with the demo data")
    parser.add_argument("--seed", type=int, default=1, help="another seed, other people")
    parser.add_argument("--scale", type=int, default=1, metavar="N", help="N times as many records")
    parser.add_argument("--quiet-life", action="store_true", help="start with life paused: nothing is made or changed by itself")
    parser.add_argument("--quiet", action="store_true", help="do not log what life does")
    parser.add_argument(
        "--until-input-ends", action="store_true", help="stop when standard input ends, that is with the process that started this one"
    )
    return parser.parse_args()


def listening_socket(host: str, port: int) -> socket.socket:
    # Named as TCP, or asyncio leaves Nagle's delay on and every small answer takes 40 ms.
    door = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        door.bind((host, port))
    except OSError as error:
        sys.exit(f"Sandbox: {host}:{port} cannot be opened: {error.strerror}. Choose another with --port.")
    door.listen(2048)
    return door


def configuration(world: World) -> uvicorn.Config:
    return uvicorn.Config(
        App(world),
        log_level="warning",
        access_log=False,
        server_header=False,
        lifespan="on",
        timeout_keep_alive=75,
        ws="none",
        timeout_graceful_shutdown=3,
    )


async def serve(server: uvicorn.Server, door: socket.socket, *, until_input_ends: bool) -> None:
    if until_input_ends:

        def stop_at_end() -> None:
            if not os.read(sys.stdin.fileno(), 1024):
                server.should_exit = True
                asyncio.get_running_loop().remove_reader(sys.stdin)

        asyncio.get_running_loop().add_reader(sys.stdin, stop_at_end)
    await server.serve(sockets=[door])


if __name__ == "__main__":
    main()
