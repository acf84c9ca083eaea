"""The OpenAPI document: of all that is served, and kept by what is answered."""

import re
from collections import Counter
from typing import Any

import schemathesis
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as hypothesis_settings
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from app.api.openapi.document import document
from app.api.openapi.examples import CLONE_JOBS, OF_MESSAGES
from app.api.routes import OWN, ZSTACK
from app.domain.clone_job import OWN_FIELDS, ZSTACK_FIELDS, parse_clone_job
from app.zstack.messages import MESSAGES
from tests.engine import Engine
from tests.factories import Inventory
from tests.integration.api.conftest import Api


def no_fault_of_ours(context: Any, response: Any, case: Any) -> None:
    """503 is an answer: ZStack's for every ErrorCode, ours while something is away."""
    assert response.status_code in {*range(200, 500), 503}, response.text


CHECKS = [
    no_fault_of_ours,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
STREAMS = re.compile("/events$")
FEW = hypothesis_settings(
    max_examples=3,
    deadline=None,
    database=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


def test_every_path_is_in_the_document_and_no_other() -> None:
    described = {
        (method, path) for path, methods in document()["paths"].items() for method in methods
    }
    own = {
        (method.lower(), re.sub(r":[^{}]*(?=})", "", path.replace("[^/{}\x00]+", "")))
        for method, path in ((route.method, route.path) for route in OWN)
    }
    zstack = {(route.method.lower(), f"/zstack/v1{route.path}") for route in ZSTACK}
    assert described == own | zstack


def test_every_message_has_an_example_that_it_takes() -> None:
    bodies = {m.name: m for m in MESSAGES if m.method in {"PUT", "POST"}}
    assert {title.partition(",")[0] for title in OF_MESSAGES} == set(bodies)
    for title, body in OF_MESSAGES.items():
        message = bodies[title.partition(",")[0]]
        message.check(body["params" if message.method == "POST" else message.action])


def test_the_clone_form_has_the_members_that_are_taken() -> None:
    described = document()["components"]["schemas"]["CloneJobBody"]["properties"]
    assert set(described) == {*OWN_FIELDS, *ZSTACK_FIELDS}
    for example in CLONE_JOBS.values():
        parse_clone_job(example)
    everything = CLONE_JOBS["every parameter"]
    assert set(everything) >= {*ZSTACK_FIELDS, "vmInstanceUuid"}


def test_answers_are_as_described_whatever_is_asked(
    server: str, as_admin: dict[str, str], inventory: Inventory, engine: Engine
) -> None:
    schema = schemathesis.openapi.from_dict(document())
    schema.config.update(base_url=server)
    asked: Counter[str] = Counter()
    for found in schema.get_all_operations():
        assert isinstance(found, Ok), found
        operation = found.ok()
        if not STREAMS.search(operation.path):
            _ask(operation, as_admin, asked)
    print(f"{asked.total()} requests to {len(asked)} operations")
    assert len(asked) > 60


def _ask(operation: Any, headers: dict[str, str], asked: Counter[str]) -> None:
    def ask(case: Any) -> None:
        asked[operation.label] += 1
        case.call_and_validate(headers=headers, checks=CHECKS, timeout=20)

    FEW(given(case=operation.as_strategy())(ask))()


def test_a_job_its_names_and_its_plan_are_as_described(
    server: str, as_admin: dict[str, str], inventory: Inventory, engine: Engine
) -> None:
    schema = schemathesis.openapi.from_dict(document())
    schema.config.update(base_url=server)

    def call(path: str, method: str, **parts: Any) -> Any:
        case = schema[path][method].Case(**parts)
        answer = case.call_and_validate(headers=as_admin, checks=CHECKS, timeout=20)
        assert answer.status_code < 300, answer.text
        return answer.json()

    jobs = "/api/v1/clone-jobs"
    body = {"vmInstanceUuid": inventory.source, "names": ["a", "b"], "full": True}
    plan = call(jobs, "POST", body=body, query={"dryRun": "true"})
    assert len(plan["items"]) == 2
    # One that succeeds, and one that is short of a host.
    with engine.database.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE host_capacities SET available_cpu = 1")
        connection.exec_driver_sql("UPDATE vm_instances SET cpu_num = 1")
    job = {"uuid": call(jobs, "POST", body=body)["uuid"]}
    engine.start(job["uuid"])
    done = call(jobs + "/{uuid}", "GET", path_parameters=job)
    assert (done["succeeded"], done["failed"]) == (1, 1)
    items = call(jobs + "/{uuid}/items", "GET", path_parameters=job)["items"]
    assert items[1]["error"]["advice"]
    assert call(jobs, "GET")["clone-jobs"] == [done]
    again = call(jobs + "/{uuid}/retry", "POST", path_parameters=job)
    assert again["retryOf"] == job["uuid"]
    call(jobs + "/{uuid}/cancel", "POST", path_parameters={"uuid": again["uuid"]})


def test_places_are_described_member_by_member() -> None:
    described = document()["components"]["schemas"]
    for path, view in (
        ("hosts", "HostView"),
        ("primary-storages", "PrimaryStorageView"),
        ("ip-ranges", "IpRangeView"),
    ):
        answer = document()["paths"][f"/api/v1/{path}"]["get"]["responses"]["200"]
        page = described[answer["content"]["application/json"]["schema"]["$ref"].split("/")[-1]]
        assert page["properties"][path]["items"] == {"$ref": f"#/components/schemas/{view}"}
        assert described[view]["required"]


def test_a_submission_is_described_with_its_headers_and_whatever_becomes_of_it() -> None:
    create = document()["paths"]["/api/v1/clone-jobs"]["post"]
    asked = {each["name"] for each in create["parameters"] if each["in"] == "header"}
    assert asked == {"Idempotency-Key", "Prefer", "X-API-Timeout", "X-Job-UUID", "X-Web-Hook"}
    answers = create["responses"]
    assert {"202", "200", "408", "500", "503"} <= set(answers)
    assert set(answers["202"]["headers"]) == {"Location", "Idempotency-Replayed"}
    assert set(answers["503"]["headers"]) == {"Retry-After"}
    shown = document()["paths"]["/api/v1/clone-jobs/{uuid}"]["get"]["responses"]
    assert set(shown["200"]["headers"]) == set(shown["304"]["headers"]) == {"ETag"}


async def test_the_try_it_page_asks_no_other_host_and_runs_no_script_of_its_own(api: Api) -> None:
    page = await api.get("/docs")
    policy = page.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    text = await page.text()
    assert not re.findall(r"https?://|<script>|style=|\son\w+=", text)
    for address in re.findall(r'(?:href|src)="([^"]+)"', text):
        assert (await api.get(address)).status == 200, address
    answer = await api.get("/openapi.json")
    assert (await answer.json())["openapi"] == "3.1.0"
    tag = {"If-None-Match": answer.headers["ETag"]}
    assert (await api.get("/openapi.json", headers=tag)).status == 304
