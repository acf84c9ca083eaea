"""Run by the Python that has zstack-mcp-server: what an assistant does through it.

Arguments: the API's URL, the password, the source VM. Prints what it got, one JSON object.
"""

# mypy: ignore-errors
import asyncio
import json
import os
import sys
from pathlib import Path

from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client


async def main(url: str, password: str, source: str) -> None:
    server = StdioServerParameters(
        command=str(Path(sys.executable).with_name("zstack-mcp-server")),
        env={
            **os.environ,
            "ZSTACK_API_URL": url,
            "ZSTACK_ACCOUNT": "admin",
            "ZSTACK_PASSWORD": password,
            "ZSTACK_ALLOW_ALL_API": "true",
        },
    )
    async with stdio_client(server) as streams, ClientSession(*streams) as session:
        await session.initialize()

        async def execute(api_name: str, **parameters: object) -> object:
            answer = await session.call_tool(
                "execute_api", {"api_name": api_name, "parameters": parameters}
            )
            return json.loads(answer.content[0].text)

        by_name = [{"name": "name", "op": "=", "value": "golden"}]
        print(
            json.dumps(
                {
                    "query": await execute("QueryVmInstance", conditions=by_name),
                    "clone": await execute(
                        "CloneVmInstance", vmInstanceUuid=source, names=["m-1", "m-2"]
                    ),
                    "refused": await execute("StartVmInstance", uuid="0" * 32),
                    "version": await execute("GetVersion"),
                }
            )
        )


asyncio.run(main(*sys.argv[1:]))
