"""`/docs`, the try-it page, and the document that it shows. Swagger UI is served from its package:
nothing is asked of another host."""

from importlib.resources import files

from aiohttp import web

from app.api.openapi.document import openapi
from app.api.pages import POLICY, page_of, read, serve

# Its style sheet has its pictures in itself.
_POLICY = POLICY.replace("img-src 'self'", "img-src 'self' data:")
_SWAGGER = ("swagger-ui.css", "swagger-ui-bundle.js")


def docs_routes() -> list[web.RouteDef]:
    own = dict(read(files("app.api.openapi") / "page"))
    swagger = files("swagger_ui") / "static"
    pages = own | {name: page_of(swagger / name) for name in _SWAGGER}
    index = serve(pages.pop("index.html"), policy=_POLICY)
    return [
        web.get("/openapi.json", openapi),
        web.get("/docs", index),
        *(
            web.get(f"/docs/static/{name}", serve(page, policy=_POLICY))
            for name, page in pages.items()
        ),
    ]
