"""The words with which a model is made to answer in JSON; how JSON is got out of an answer is in dialects/json_repair.py."""

from jackfield.dialects.json_repair import json_in

__all__ = ["INSTRUCTION", "NOT_JSON", "RETRY", "json_in"]

INSTRUCTION = "Answer with one valid JSON value and nothing else: no explanation and no code fence."
NOT_JSON = "the answer is not JSON"
RETRY = "That was not valid JSON. Answer again with one valid JSON value and nothing else."
