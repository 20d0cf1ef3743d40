"""Reads a settings file: YAML (and so JSON) into plain values that remember the line they stand on.

Knows YAML and nothing of what the keys mean. Keys become text, so that slot 0 and provider ids are addressed alike.
"""

from pathlib import Path
from typing import Any

import msgspec
import yaml

from jackfield.app.settings_problem import Problem, SettingsInvalid

KeyPath = tuple[str, ...]
MAX_FILE_BYTES = 1024 * 1024
MAX_NODES = 50_000
PLAIN_TAGS = ("tag:yaml.org,2002:map", "tag:yaml.org,2002:seq")
MERGE_TAG = "tag:yaml.org,2002:merge"


class FileValues(msgspec.Struct, frozen=True):
    """`lines` gives the line, from 1, of each key by its path; list items have their index as a step."""

    name: str
    values: dict[str, Any]
    lines: dict[KeyPath, int]

    def origin(self, path: KeyPath) -> str:
        """ "file:line" of a key, or of the nearest one above it that the file holds."""
        while path and path not in self.lines:
            path = path[:-1]
        return f"{self.name}:{self.lines.get(path, 1)}"


def read_file(path: Path) -> FileValues:
    """Raises SettingsInvalid for a file that cannot be read, is too large or is not a YAML mapping."""
    try:
        data = path.read_bytes()
        if len(data) > MAX_FILE_BYTES:
            raise SettingsInvalid([Problem(str(path), "", f"is larger than {MAX_FILE_BYTES} bytes: not a settings file")])
        text = data.decode("utf-8-sig")
    except OSError as error:
        raise SettingsInvalid([Problem(str(path), "", f"cannot be read: {error.strerror or error}")]) from None
    except UnicodeDecodeError as error:
        raise SettingsInvalid([Problem(str(path), "", f"is not UTF-8 text (byte {error.start})")]) from None
    return read_text(text, str(path))


def read_text(text: str, name: str) -> FileValues:
    """As `read_file`, for text that has already been read; `name` stands in messages."""
    try:
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        if node is None:
            return FileValues(name, {}, {})
        if not isinstance(node, yaml.MappingNode):
            raise _problem(name, node, "must be a mapping of settings, such as server: {port: 7311}")
        reader = _Reader(name, loader)
        return FileValues(name, reader.mapping(node, ()), reader.lines)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        origin = f"{name}:{mark.line + 1}" if mark else name
        raise SettingsInvalid([Problem(origin, "", f"is not valid YAML: {error.problem or error.context}")]) from None
    except yaml.YAMLError as error:
        raise SettingsInvalid([Problem(name, "", f"is not valid YAML: {str(error).splitlines()[0]}")]) from None
    except RecursionError:
        raise SettingsInvalid([Problem(name, "", "is nested too deeply, or an alias holds itself")]) from None


def _problem(name: str, node: yaml.Node, message: str, path: KeyPath = ()) -> SettingsInvalid:
    return SettingsInvalid([Problem(f"{name}:{node.start_mark.line + 1}", ".".join(path), message)])


class _Reader:
    """Turns composed nodes into values. Counts nodes, so that aliases of aliases cannot grow without end."""

    def __init__(self, name: str, loader: yaml.SafeLoader) -> None:
        self._name = name
        self._loader = loader
        self._nodes = 0
        self.lines: dict[KeyPath, int] = {}

    def mapping(self, node: yaml.MappingNode, path: KeyPath) -> dict[str, Any]:
        self._refuse_twins(node, path)
        self._loader.flatten_mapping(node)
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = str(self._scalar(key_node, path))
            here = (*path, key)
            self.lines[here] = key_node.start_mark.line + 1
            result[key] = self._value(value_node, here)
        return result

    def _refuse_twins(self, node: yaml.MappingNode, path: KeyPath) -> None:
        """YAML lets the last of two equal keys win unseen; only a merged (`<<`) key may be replaced like that."""
        first: dict[str, int] = {}
        for key_node, _ in node.value:
            if key_node.tag == MERGE_TAG:
                continue
            key, line = str(self._scalar(key_node, path)), key_node.start_mark.line + 1
            if key in first:
                raise _problem(self._name, key_node, f"stands twice, first on line {first[key]}: keep one", (*path, key))
            first[key] = line

    def _value(self, node: yaml.Node, path: KeyPath) -> Any:
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise _problem(self._name, node, f"holds more than {MAX_NODES} values: not a settings file", path)
        if not isinstance(node, yaml.ScalarNode) and node.tag not in PLAIN_TAGS:
            raise _problem(self._name, node, f"has the tag {node.tag!r}: settings are plain values", path)
        if isinstance(node, yaml.MappingNode):
            return self.mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self._item(item, (*path, str(index))) for index, item in enumerate(node.value)]
        return self._scalar(node, path)

    def _item(self, node: yaml.Node, path: KeyPath) -> Any:
        self.lines[path] = node.start_mark.line + 1
        return self._value(node, path)

    def _scalar(self, node: yaml.Node, path: KeyPath) -> Any:
        if not isinstance(node, yaml.ScalarNode):
            raise _problem(self._name, node, "a key must be plain text", path)
        try:
            return self._loader.construct_object(node)
        except ValueError as error:
            raise _problem(self._name, node, f"is not a valid value: {error}", path) from None
