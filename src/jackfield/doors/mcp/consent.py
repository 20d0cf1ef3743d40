"""Asks the person behind a client whether prompts may leave this machine, before a source that sends them is plugged in.

A client that cannot ask gets no consent: the plug is then refused, and the refusal says how else to allow it. What a consent
means is slots/plugging.py's.
"""

from collections.abc import Mapping
from typing import Any

from mcp.server.elicitation import AcceptedElicitation, ElicitationResult
from mcp.server.mcpserver.resolve import Elicit
from pydantic import BaseModel, Field

from jackfield.core.errors import JackfieldError
from jackfield.doors.mcp.answering import Ctx, panel_of
from jackfield.doors.mcp.given import config_of
from jackfield.slots.remote import local_or_remote


class Consent(BaseModel):
    """A person's yes or no."""

    allow: bool = Field(description="Let this provider send prompts to the named hosts, now and later.")


NO = Consent(allow=False)


def is_given(outcome: ElicitationResult[Consent]) -> bool:
    """Only a form that was sent with a yes in it counts."""
    return isinstance(outcome, AcceptedElicitation) and outcome.data.allow


async def provider_consent(provider_id: str, config: str, ctx: Ctx) -> Consent | Elicit[Consent]:
    """For `plug_provider`."""
    try:
        return await _asked(ctx, provider_id, config_of(config), None)
    except JackfieldError:
        return NO  # the tool itself will say what is wrong


async def model_consent(model_id: str, ctx: Ctx) -> Consent | Elicit[Consent]:
    """For `plug_model`."""
    try:
        return await _asked(ctx, *local_or_remote(model_id))
    except JackfieldError:
        return NO


async def _asked(ctx: Ctx, provider_id: str, config: Mapping[str, Any] | None, model: str | None) -> Consent | Elicit[Consent]:
    able = ctx.client_capabilities
    if able is None or able.elicitation is None:
        return NO
    hosts = await panel_of(ctx).registry.hosts_to_allow(provider_id, config, model)
    if not hosts:
        return NO
    return Elicit(f"{provider_id} sends prompts to {' and '.join(hosts)}, off this machine. Allow it?", Consent)
