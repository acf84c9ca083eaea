"""A bare aiohttp server over PostgreSQL: one INSERT of the body, one SELECT of what it sends.

python -m tests.bench.bare_server DATABASE_URL PORT
"""

import sys
from uuid import uuid4

import asyncpg
import orjson
from aiohttp import web

POOL = web.AppKey("pool", asyncpg.Pool)
PUT = "/jobs"
GET = "/jobs/one"


async def put(request: web.Request) -> web.Response:
    body = await request.read()
    uuid = uuid4().hex
    await request.app[POOL].execute(
        "INSERT INTO bare_jobs (uuid, request) VALUES ($1, $2)", uuid, body.decode()
    )
    return _json({"location": f"{GET}/{uuid}"}, status=202)


async def get(request: web.Request) -> web.Response:
    row = await request.app[POOL].fetchrow("SELECT request FROM bare_jobs WHERE uuid = $1", "one")
    return _json(orjson.loads(row["request"]), status=202)


def _json(value: object, *, status: int) -> web.Response:
    return web.Response(body=orjson.dumps(value), status=status, content_type="application/json")


async def make(database_url: str) -> web.Application:
    app = web.Application()
    app[POOL] = pool = await asyncpg.create_pool(database_url, min_size=4, max_size=10)
    await pool.execute("CREATE TABLE bare_jobs (uuid text PRIMARY KEY, request json NOT NULL)")
    answer = {"location": "x" * 80, "progress": {"state": "Running", "total": 1000, "running": 8}}
    await pool.execute("INSERT INTO bare_jobs VALUES ('one', $1)", orjson.dumps(answer).decode())
    app.add_routes([web.put(PUT, put), web.get(GET, get)])
    return app


if __name__ == "__main__":
    web.run_app(
        make(sys.argv[1]), host="127.0.0.1", port=int(sys.argv[2]), print=None, access_log=None
    )
