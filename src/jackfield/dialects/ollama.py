"""The Ollama dialect (/api/chat and /api/generate) under one name: what doors and adapters import.

Knows nothing itself; each part is in the file that its import names. Embeddings are in ollama_embeddings.py, the calls about
models in ollama_models.py.
"""

from jackfield.dialects.ollama_errors import decode_error, encode_error, encode_stream_error, in_band_error
from jackfield.dialects.ollama_relay import StreamRelay
from jackfield.dialects.ollama_reply import decode_reply, encode_reply, is_empty, reply_error, reply_usage
from jackfield.dialects.ollama_request import Form, decode_request, encode_request, form_of, path_of
from jackfield.dialects.ollama_splice import (
    LoadWish,
    encode_loaded,
    fill_in,
    load_wish,
    splice_request,
    wants_stream,
)
from jackfield.dialects.ollama_stream import KEEP_ALIVE, StreamDecoder, StreamEncoder

NAME = "ollama"
PATH = "api/chat"
GENERATE_PATH = "api/generate"
STREAM_TYPE = b"application/x-ndjson"

__all__ = [
    "GENERATE_PATH",
    "KEEP_ALIVE",
    "NAME",
    "PATH",
    "STREAM_TYPE",
    "Form",
    "LoadWish",
    "StreamDecoder",
    "StreamEncoder",
    "StreamRelay",
    "decode_error",
    "decode_reply",
    "decode_request",
    "encode_error",
    "encode_loaded",
    "encode_reply",
    "encode_request",
    "encode_stream_error",
    "fill_in",
    "form_of",
    "in_band_error",
    "is_empty",
    "load_wish",
    "path_of",
    "reply_error",
    "reply_usage",
    "splice_request",
    "wants_stream",
]
