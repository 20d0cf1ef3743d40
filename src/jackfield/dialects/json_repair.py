"""Gets JSON out of what a model wrote: whole, fenced, wrapped in talk, or slightly broken. Pure and bounded.

Repairs, in this order: fence and talk around it, trailing commas, Python's words and quotes, unquoted keys, what was left
open at the end. Gives up rather than guess: a repair that does not parse is no answer.
"""

import json
import re

MAX_CHARS = 1024 * 1024
MAX_DEPTH = 64
_FENCE = re.compile(r"```(?:json|JSON)?\s*\n(.*?)(?:```|\Z)", re.DOTALL)
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"?', re.DOTALL)
_SINGLE = re.compile(r"'((?:[^'\\]|\\.)*)('?)", re.DOTALL)
"""Both match without an end too: what is open to the end of a text is looked through once, not from each quote in it anew."""
_WORDS = {"True": "true", "False": "false", "None": "null", "undefined": "null", "NaN": "null"}
_WORD = re.compile(r"\b(?:True|False|None|undefined|NaN)\b")
_KEY = re.compile(r"([{,]\s*)([A-Za-z_][A-Za-z0-9_-]*)(\s*:)")
_TRAILING = re.compile(r",(\s*[}\]])")
_CLOSERS = {"{": "}", "[": "]"}


def json_in(text: str) -> str | None:
    """The JSON text in an answer, repaired if need be; None where there is none to be had."""
    text = text.strip()[:MAX_CHARS]
    for candidate in _candidates(text):
        if _parses(candidate):
            return candidate
    for candidate in _candidates(text):
        repaired = _repaired(candidate)
        if repaired is not None and _parses(repaired):
            return repaired
    return None


def _candidates(text: str) -> list[str]:
    found = [text]
    fenced = _FENCE.search(text)
    if fenced:
        found.append(fenced[1].strip())
    starts = [at for at in (text.find("{"), text.find("[")) if at >= 0]
    if starts:
        start = min(starts)
        end = max(text.rfind("}"), text.rfind("]"))
        if end > start:
            found.append(text[start : end + 1])
        found.append(text[start:])
    return found


def _parses(text: str) -> bool:
    if text.count("{") + text.count("[") > MAX_CHARS // 8:
        return False
    try:
        json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return False
    return True


def _refuse(word: str) -> None:
    raise ValueError(f"{word} is not JSON")


def _repaired(text: str) -> str | None:
    if not text or text[0] not in _CLOSERS:
        return None
    text = _single_to_double(text)
    pieces: list[str] = []
    position = 0
    for string in _STRING.finditer(text):
        pieces.append(_outside(text[position : string.start()]))
        pieces.append(string[0])
        position = string.end()
    pieces.append(_outside(text[position:]))
    return _closed("".join(pieces))


def _outside(text: str) -> str:
    """Repairs that must not touch what stands in strings."""
    return _KEY.sub(r'\1"\2"\3', _WORD.sub(lambda match: _WORDS[match[0]], text))


def _single_to_double(text: str) -> str:
    if '"' in text:
        return text
    return _SINGLE.sub(lambda match: json.dumps(match[1].replace("\\'", "'")) if match[2] else match[0], text)


def _closed(text: str) -> str | None:
    """`text` with what is open at its end closed, and commas before closers taken out."""
    open_marks: list[str] = []
    in_string = escaped = False
    for character in text:
        if in_string:
            if escaped:
                escaped = False
            elif character == "\\":
                escaped = True
            elif character == '"':
                in_string = False
        elif character == '"':
            in_string = True
        elif character in _CLOSERS:
            open_marks.append(character)
            if len(open_marks) > MAX_DEPTH:
                return None
        elif character in "}]" and (not open_marks or _CLOSERS[open_marks.pop()] != character):
            return None
    tail = ('"' if in_string else "") + "".join(_CLOSERS[mark] for mark in reversed(open_marks))
    whole = text.rstrip().rstrip(",") + tail if tail else text
    return _without_trailing_commas(whole)


def _without_trailing_commas(text: str) -> str:
    pieces: list[str] = []
    position = 0
    for string in _STRING.finditer(text):
        pieces.append(text[position : string.start()])
        pieces.append(string[0])
        position = string.end()
    pieces.append(text[position:])
    # Commas and their closers are never parted by a string, so each piece can be looked at alone.
    return "".join(piece if piece.startswith('"') else _TRAILING.sub(r"\1", piece) for piece in pieces)
