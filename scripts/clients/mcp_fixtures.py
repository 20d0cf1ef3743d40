"""A whole gateway whose MCP server also has the fixtures that `@modelcontextprotocol/conformance` looks for: PORT FOLDER.

Each does what the scenario of its name asks for. They are added where the server is made, so everything around it is what
people get.
"""

import asyncio
import base64
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import msgspec
from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.mcpserver.prompts.base import UserMessage
from mcp_types import AudioContent, EmbeddedResource, ImageContent, SamplingMessage, TextContent, TextResourceContents
from pydantic import BaseModel, Field, JsonValue

from jackfield.app import server as gateway
from jackfield.app.settings import Loaded, Settings
from jackfield.doors.mcp import app as door
from jackfield.doors.mcp.server import create_server

STEP_S = 0.05
WAV = base64.b64encode(b"RIFF$\0\0\0WAVEfmt \x10\0\0\0\1\0\1\0@\x1f\0\0@\x1f\0\0\1\0\x08\0data\0\0\0\0").decode()
PNG = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==")


class Reply(BaseModel):
    username: str = Field(description="User's response")
    email: str = Field(description="User's email address")


class Defaults(BaseModel):
    name: str = "John Doe"
    age: int = 30
    score: float = 95.5
    status: Literal["active", "inactive", "pending"] = "active"
    verified: bool = True


def titled(kind: str) -> list[JsonValue]:
    """Choices with titles, as SEP-1330 writes them."""
    return [{"const": f"value{n}", "title": f"{ordinal} {kind}"} for n, ordinal in enumerate(("First", "Second", "Third"), 1)]


class Choices(BaseModel):
    """Every way to write a choice."""

    untitledSingle: Literal["option1", "option2", "option3"]
    titledSingle: str = Field(json_schema_extra={"oneOf": titled("Option")})
    legacyEnum: str = Field(json_schema_extra={"enum": ["opt1", "opt2"], "enumNames": ["Option One", "Option Two"]})
    untitledMulti: list[Literal["option1", "option2", "option3"]]
    titledMulti: list[str] = Field(json_schema_extra={"items": {"anyOf": titled("Choice")}})


def image() -> ImageContent:
    return ImageContent(type="image", data=base64.b64encode(PNG).decode(), mime_type="image/png")


def embedded(uri: str, mime_type: str, text: str) -> EmbeddedResource:
    return EmbeddedResource(type="resource", resource=TextResourceContents(uri=uri, mime_type=mime_type, text=text))


async def test_image_content() -> ImageContent:
    """A picture."""
    return image()


async def test_audio_content() -> AudioContent:
    """A sound without length."""
    return AudioContent(type="audio", data=WAV, mime_type="audio/wav")


async def test_embedded_resource() -> EmbeddedResource:
    """A resource in the answer itself."""
    return embedded("test://embedded-resource", "text/plain", "This is an embedded resource content.")


async def test_multiple_content_types() -> list[TextContent | ImageContent | EmbeddedResource]:
    """One of each."""
    text = TextContent(type="text", text="Multiple content types test:")
    return [text, image(), embedded("test://mixed-content-resource", "application/json", '{"test":"data","value":123}')]


async def test_simple_text() -> str:
    """One text."""
    return "This is a simple text response for testing."


async def test_error_handling() -> str:
    """Always fails."""
    raise ToolError("This tool intentionally returns an error for testing")


async def test_tool_with_progress(ctx: Context) -> str:
    """Tells its progress in notifications."""
    for progress in (0, 50, 100):
        await ctx.report_progress(progress, 100)
        await asyncio.sleep(STEP_S)
    return "done"


async def test_sampling(prompt: str, ctx: Context) -> str:
    """Asks the client's model."""
    asked = [SamplingMessage(role="user", content=TextContent(type="text", text=prompt))]
    result = await ctx.session.create_message(asked, max_tokens=100, related_request_id=ctx.request_id)
    return f"LLM response: {getattr(result.content, 'text', '')}"


async def test_elicitation(message: str, ctx: Context) -> str:
    """Asks the person behind the client."""
    result = await ctx.elicit(message, Reply)
    return f"User response: action={result.action}, content={getattr(result, 'data', None)}"


async def test_elicitation_sep1034_defaults(ctx: Context) -> str:
    """Asks with every kind of default."""
    result = await ctx.elicit("Please look at the defaults", Defaults)
    return f"Elicitation completed: action={result.action}, content={getattr(result, 'data', None)}"


async def test_elicitation_sep1330_enums(ctx: Context) -> str:
    """Asks with every kind of choice."""
    result = await ctx.elicit("Please choose", Choices)
    return f"Elicitation completed: action={result.action}, content={getattr(result, 'data', None)}"


def static_text() -> str:
    return "This is the content of the static text resource."


def static_binary() -> bytes:
    return PNG


def template(id: str) -> str:
    return json.dumps({"id": id, "templateTest": True, "data": f"Data for ID: {id}"})


def test_simple_prompt() -> str:
    """A prompt without arguments."""
    return "This is a simple prompt for testing."


def test_prompt_with_arguments(arg1: str, arg2: str) -> str:
    """A prompt with two arguments."""
    return f"Prompt with arguments: arg1='{arg1}', arg2='{arg2}'"


def test_prompt_with_embedded_resource(resourceUri: str) -> list[UserMessage]:
    """A prompt with a resource in it."""
    resource = embedded(resourceUri, "text/plain", "Embedded resource content for testing.")
    return [UserMessage(resource), UserMessage("Please process the embedded resource above.")]


def test_prompt_with_image() -> list[UserMessage]:
    """A prompt with a picture in it."""
    return [UserMessage(image()), UserMessage("Please analyze the image above.")]


TOOLS = (
    test_simple_text,
    test_image_content,
    test_audio_content,
    test_embedded_resource,
    test_multiple_content_types,
    test_error_handling,
    test_tool_with_progress,
    test_sampling,
    test_elicitation,
    test_elicitation_sep1034_defaults,
    test_elicitation_sep1330_enums,
)
PROMPTS = (
    test_simple_prompt,
    test_prompt_with_arguments,
    test_prompt_with_embedded_resource,
    test_prompt_with_image,
)


def with_fixtures(make: Callable[[Any], "MCPServer[Any]"]) -> Callable[[Any], "MCPServer[Any]"]:
    def made(panel: Any) -> "MCPServer[Any]":
        server = make(panel)
        for tool in TOOLS:
            server.add_tool(tool)
        server.resource("test://static-text", mime_type="text/plain")(static_text)
        server.resource("test://static-binary", mime_type="image/png")(static_binary)
        server.resource("test://template/{id}/data", mime_type="application/json")(template)
        for prompt in PROMPTS:
            server.prompt()(prompt)
        return server

    return made


def main(port: str, folder: str) -> None:
    vars(door)["create_server"] = with_fixtures(create_server)
    plain = {
        "store": str(Path(folder) / "store"),
        "discovery": {"enabled": False},
        "server": {"port": int(port)},
        "slots": {0: {"provider": "scripted", "config": {"text": "hello {prompt}"}}},
    }
    gateway.run(Loaded(msgspec.convert(plain, Settings), environ={}), on_ready=lambda house: print("ready", flush=True))


if __name__ == "__main__":
    main(*sys.argv[1:])
