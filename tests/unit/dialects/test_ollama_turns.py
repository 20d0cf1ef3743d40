"""Messages for Ollama: how much of a client's broken arguments is repaired."""

from jackfield.core.messages import Message, ToolCallPart
from jackfield.dialects.ollama_turns import REPAIRED_MAX_CHARS, encode_messages


def test_only_so_much_is_repaired_of_one_request() -> None:
    broken = "{'a': '" + "x" * (REPAIRED_MAX_CHARS * 2 // 3) + "'}"
    calls = [Message("assistant", (ToolCallPart(f"call_{number}", "f", broken),)) for number in range(3)]
    small = Message("assistant", (ToolCallPart("call_3", "f", "{'a': 1}"),))
    warnings: list[str] = []
    items = encode_messages([*calls, small], warnings)
    told = [item["tool_calls"][0]["function"]["arguments"] for item in items]
    assert [set(arguments) for arguments in told] == [{"a"}, {"arguments"}, {"arguments"}, {"a"}]
    assert len(warnings) == 2
