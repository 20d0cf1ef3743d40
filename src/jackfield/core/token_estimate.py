"""About how many tokens a text or a prompt has, without a tokenizer and without asking anybody.

A model of how today's vocabularies cut text: whole short words, long words in pieces, numbers by three digits, other scripts by
the letter. The rates were fitted to counts of four published tokenizers; where these differ much, beyond Latin letters, to the
newest (o200k). A source that counts tokens itself is exact, and is to be asked first.
"""

import re

import msgspec

from jackfield.core.messages import ImagePart, Message, Part, ReasoningPart, RefusalPart, TextPart, ToolCallPart, ToolResultPart
from jackfield.core.requests import ChatRequest, Tool

MESSAGE_TOKENS = 4
"""What the marks around a message come to."""
IMAGE_TOKENS = 1500
"""A picture of a usual size, as most vision models count it."""
MAX_READ_CHARS = 65_536
"""Of a longer text so much is read, from all over it: an estimate takes no longer for a larger one."""
_SLICES = 16
_WORD = re.compile(r"[A-ZÀ-Þ]?[a-zß-ɏ]+|[A-ZÀ-Þ]+")
_KNOWN_LETTERS = 6
_TOKENS_PER_WORD = 1.0
_TOKENS_PER_FURTHER_LETTER = 0.22
# What one match of each is worth, beside words.
_RATES: tuple[tuple[re.Pattern[str], float], ...] = (
    (re.compile(r"[À-ɏ]"), 1.2),
    (re.compile(r"[0-9]{1,3}"), 0.9),
    (re.compile(r"[!-/:-@\[-`{-~\u2010-\u203a\u3000-\u303f\uff00-\uff65]+"), 1.05),
    (re.compile(r"\n\s*"), 0.3),
    (re.compile(r"[\u0370-\u058f]"), 0.33),  # Greek, Cyrillic, Armenian
    (re.compile(r"[\u0590-\u08ff]"), 0.37),  # Hebrew, Arabic
    (re.compile(r"[\u0900-\u0dff]"), 0.37),  # scripts of India
    (re.compile(r"[\u0e00-\u10ff]"), 0.37),  # Thai, Lao, Tibetan, Burmese, Georgian
    (re.compile(r"[\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"), 0.8),
    (re.compile(r"[\u3040-\u30ff]"), 0.75),
    (re.compile(r"[\uac00-\ud7af\u1100-\u11ff]"), 0.85),
    (re.compile(r"[\u2190-\u2bff\ufe0f\u200d\U0001f000-\U0001faff]"), 1.7),
)


def estimate_text(text: str) -> int:
    """Tokens, rounded up; 0 for no text."""
    read = text if len(text) <= MAX_READ_CHARS else _from_all_over(text)
    tokens = sum(rate * len(pattern.findall(read)) for pattern, rate in _RATES) + _words(read)
    return -int(-tokens * len(text) // max(1, len(read)))


def _words(text: str) -> float:
    words = _WORD.findall(text)
    further = sum(len(word) - _KNOWN_LETTERS for word in words if len(word) > _KNOWN_LETTERS)
    return _TOKENS_PER_WORD * len(words) + _TOKENS_PER_FURTHER_LETTER * further


def _from_all_over(text: str) -> str:
    size, step = MAX_READ_CHARS // _SLICES, len(text) // _SLICES
    return "".join(text[at * step : at * step + size] for at in range(_SLICES))


def estimate_prompt(request: ChatRequest) -> int:
    """Tokens of messages and tools; a picture counts `IMAGE_TOKENS`, files and sound are not counted. At least 1."""
    return max(1, sum(map(_of_message, request.messages)) + sum(map(_of_tool, request.tools)))


def _of_message(message: Message) -> int:
    return MESSAGE_TOKENS + sum(map(_of_part, message.parts))


def _of_part(part: Part) -> int:
    match part:
        case TextPart() | RefusalPart() | ReasoningPart():
            return estimate_text(part.text)
        case ToolCallPart():
            return estimate_text(part.name) + estimate_text(part.arguments)
        case ToolResultPart():
            return sum(map(_of_part, part.content))
        case ImagePart():
            return IMAGE_TOKENS
        case _:
            return 0


def _of_tool(tool: Tool) -> int:
    schema = msgspec.json.encode(tool.parameters or {}).decode()
    return sum(map(estimate_text, (tool.name, tool.description or "", schema)))
