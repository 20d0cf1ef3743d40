"""The Gemini dialect (generateContent) under one name: what doors and adapters import.

Knows nothing itself; each part is in the file that its import names.
"""

from jackfield.dialects.gemini_array import END as ARRAY_END
from jackfield.dialects.gemini_array import ArrayRelay, ArrayWriter
from jackfield.dialects.gemini_errors import decode_error, encode_error, in_band_error
from jackfield.dialects.gemini_names import bare_model
from jackfield.dialects.gemini_relay import StreamRelay
from jackfield.dialects.gemini_reply import decode_reply, encode_reply, is_empty, reply_error
from jackfield.dialects.gemini_request import decode_request, encode_request
from jackfield.dialects.gemini_splice import fill_in, method, splice_request
from jackfield.dialects.gemini_stream import StreamDecoder, StreamEncoder, encode_stream_error
from jackfield.dialects.gemini_usage import reply_usage
from jackfield.dialects.openai_chat_request import parse_fields

NAME = "gemini"
PATH = "generateContent"

__all__ = [
    "ARRAY_END",
    "NAME",
    "PATH",
    "ArrayRelay",
    "ArrayWriter",
    "StreamDecoder",
    "StreamEncoder",
    "StreamRelay",
    "bare_model",
    "decode_error",
    "decode_reply",
    "decode_request",
    "encode_error",
    "encode_reply",
    "encode_request",
    "encode_stream_error",
    "fill_in",
    "in_band_error",
    "is_empty",
    "method",
    "parse_fields",
    "reply_error",
    "reply_usage",
    "splice_request",
]
