"""What can go wrong, once, for the whole house.

    JackfieldError
    |- RequestRejected          the request itself cannot be served as written
    |  |- BadRequest            malformed, wrong type, unknown setting
    |  |- SlotOutOfRange        a slot number below 0 or past the panel's end
    |  |- ContextOverflow       prompt and answer do not fit the model's context
    |  |- ContentRefused        a content filter said no
    |  |- BodyTooLarge          the request is over the size limit
    |  `- NotSupported          the provider or model cannot do this
    |- NotAllowed               somebody must permit it first
    |  |- AuthFailed            no key, or a wrong one
    |  |- BudgetSpent           the sats are gone, here or at the provider
    |  |- ModeForbids           the operating mode or a missing consent forbids it
    |  `- EgressDenied          the socket guard refused the host
    |- NotFound
    |  |- SlotEmpty             nothing is plugged there
    |  |- ProviderNotFound      no such provider id
    |  |- ModelNotFound         no slot or source offers that model
    |  `- NoCapableProvider     sources exist, none can do what is asked
    |- Conflict                 the panel is in a state that forbids the operation
    |- Upstream                 the source answered badly or not at all
    |  |- RateLimited           429
    |  |- Overloaded            503, 529: try later
    |  |- Unavailable           5xx, refused, unreachable, TLS failure
    |  |- TimedOut              connect, first byte, idle or total limit passed
    |  |- Malformed             the answer breaks its own protocol
    |  |  `- ToolCallParseError  a tool call in it cannot be read
    |  `- StreamBroken          the answer stopped in the middle
    `- ServiceFailed            a process of ours: start failed, crashed, not ready
       |- PortTaken             the port is in use
       `- MissingExtra          an optional dependency is not installed

Upper layers read only the behaviour attributes (`may_retry`, `may_fall_back`, `hurts_health`, `was_billed`), never a
provider's name. Messages are for a person: what happened, where, what to do next; never a key, never a prompt.
`asyncio.CancelledError` is never ours and always passes.
"""

from typing import ClassVar, Literal, Self

Billed = Literal["no", "maybe", "yes"]
CAUSES_MAX = 10
MESSAGE_MAX_CHARS, PARAM_MAX_CHARS = 8000, 500
"""What a person reads. A client's own words may stand in them, of which there may be a whole body full."""
MODEL_LOADING = "model_loading"
"""The code of an Overloaded that is over as soon as the source has its model in memory."""


class JackfieldError(Exception):
    """Base of all errors. `status` is an HTTP status, `retry_after_s` seconds, `code` and `param` as OpenAI uses them."""

    default_status: ClassVar[int] = 500
    default_code: ClassVar[str] = "internal_error"
    may_retry: ClassVar[bool] = False
    may_fall_back: ClassVar[bool] = False
    hurts_health: ClassVar[bool] = False
    was_billed: ClassVar[Billed] = "no"

    def __init__(
        self,
        message: str,
        *,
        slot: int | None = None,
        provider: str | None = None,
        status: int | None = None,
        code: str | None = None,
        param: str | None = None,
        retry_after_s: float | None = None,
        request_id: str | None = None,
    ) -> None:
        message = _short(message, MESSAGE_MAX_CHARS)
        super().__init__(message)
        self.message = message
        self.slot = slot
        self.provider = provider
        self.status = self.default_status if status is None else status
        self.code = self.default_code if code is None else code
        self.param = None if param is None else _short(param, PARAM_MAX_CHARS)
        self.retry_after_s = retry_after_s
        self.request_id = request_id

    def without_trace(self) -> Self:
        """The same error, to be kept as a value.

        Its traceback, and those of what it was made of, would keep all frames on their way alive, and one of these holds the
        error: a cycle with a whole request in it, which only the collector ends.
        """
        error: BaseException | None = self
        for _ in range(CAUSES_MAX):
            if error is None:
                break
            error.__traceback__ = None
            error = error.__cause__ or error.__context__
        return self

    def __str__(self) -> str:
        names_it_already = self.provider is None or self.message.startswith((f"{self.provider} ", f"{self.provider}:"))
        return self.message if names_it_already else f"{self.provider}: {self.message}"


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most]} ..."


class RequestRejected(JackfieldError):
    default_status = 400
    default_code = "invalid_request"


class BadRequest(RequestRejected):
    pass


class SlotOutOfRange(RequestRejected):
    default_code = "slot_out_of_range"


class ContextOverflow(RequestRejected):
    default_code = "context_length_exceeded"
    may_fall_back = True


class ContentRefused(RequestRejected):
    default_code = "content_filter"
    was_billed = "maybe"


class BodyTooLarge(RequestRejected):
    default_status = 413
    default_code = "body_too_large"


class NotSupported(RequestRejected):
    default_code = "not_supported"
    may_fall_back = True


class NotAllowed(JackfieldError):
    default_status = 403
    default_code = "not_allowed"


class AuthFailed(NotAllowed):
    default_status = 401
    default_code = "invalid_api_key"
    may_fall_back = True


class BudgetSpent(NotAllowed):
    default_status = 402
    default_code = "insufficient_quota"
    may_fall_back = True


class ModeForbids(NotAllowed):
    default_code = "mode_forbids"
    may_fall_back = True


class EgressDenied(NotAllowed):
    default_code = "egress_denied"
    may_fall_back = True


class NotFound(JackfieldError):
    default_status = 404
    default_code = "not_found"


class SlotEmpty(NotFound):
    default_code = "slot_empty"


class ProviderNotFound(NotFound):
    default_code = "provider_not_found"


class ModelNotFound(NotFound):
    default_code = "model_not_found"
    may_fall_back = True


class NoCapableProvider(NotFound):
    default_code = "no_capable_provider"


class Conflict(JackfieldError):
    default_status = 409
    default_code = "conflict"


class Upstream(JackfieldError):
    default_status = 502
    default_code = "upstream_error"
    may_fall_back = True
    hurts_health = True


class RateLimited(Upstream):
    default_status = 429
    default_code = "rate_limit_exceeded"
    may_retry = True


class Overloaded(Upstream):
    default_status = 503
    default_code = "overloaded"
    may_retry = True


class Unavailable(Upstream):
    default_status = 502
    default_code = "unavailable"
    may_retry = True


class TimedOut(Upstream):
    default_status = 504
    default_code = "timeout"
    may_retry = True
    was_billed = "maybe"


class Malformed(Upstream):
    default_code = "malformed_answer"
    was_billed = "maybe"


class ToolCallParseError(Malformed):
    default_code = "tool_call_unreadable"


class StreamBroken(Upstream):
    default_code = "stream_broken"
    was_billed = "maybe"


class ServiceFailed(JackfieldError):
    default_status = 503
    default_code = "service_failed"
    may_fall_back = True
    hurts_health = True


class PortTaken(ServiceFailed):
    default_code = "port_taken"


class MissingExtra(ServiceFailed):
    default_code = "missing_extra"
    hurts_health = False
