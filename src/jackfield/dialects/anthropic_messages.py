"""The Messages dialect under one name: what doors and adapters import.

Knows nothing itself; each part is in the file that its import names.
"""

from jackfield.dialects.anthropic_errors import decode_error, encode_error, encode_stream_error, in_band_error
from jackfield.dialects.anthropic_messages_asked import decode_request
from jackfield.dialects.anthropic_messages_encoder import PING_EVENT, STOP_EVENT, StreamEncoder
from jackfield.dialects.anthropic_messages_quirks import DEFAULT_MAX_TOKENS, MessagesQuirks
from jackfield.dialects.anthropic_messages_relay import StreamRelay
from jackfield.dialects.anthropic_messages_reply import decode_reply, encode_reply, is_empty, reply_error
from jackfield.dialects.anthropic_messages_request import encode_count, encode_request
from jackfield.dialects.anthropic_messages_splice import fill_in, splice_request
from jackfield.dialects.anthropic_messages_stream import StreamDecoder
from jackfield.dialects.anthropic_messages_usage import decode_count, reply_usage
from jackfield.dialects.openai_chat_request import parse_fields

NAME = "anthropic_messages"
PATH = "messages"
COUNT_PATH = "messages/count_tokens"
VERSION = "2023-06-01"
"""The header `anthropic-version` of a request that says no other."""
OWN_HEADERS = ("anthropic-version", "anthropic-beta")
"""Headers of a client that belong to its request's form: they pass through with it."""

__all__ = [
    "COUNT_PATH",
    "DEFAULT_MAX_TOKENS",
    "NAME",
    "OWN_HEADERS",
    "PATH",
    "PING_EVENT",
    "STOP_EVENT",
    "VERSION",
    "MessagesQuirks",
    "StreamDecoder",
    "StreamEncoder",
    "StreamRelay",
    "decode_count",
    "decode_error",
    "decode_reply",
    "decode_request",
    "encode_count",
    "encode_error",
    "encode_reply",
    "encode_request",
    "encode_stream_error",
    "fill_in",
    "in_band_error",
    "is_empty",
    "parse_fields",
    "reply_error",
    "reply_usage",
    "splice_request",
]
