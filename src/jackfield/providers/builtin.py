"""What ships with jackfield: every row of presets.toml, the engine in this process, and the scripted player."""

from jackfield.providers.anthropic import Anthropic
from jackfield.providers.bedrock import Bedrock
from jackfield.providers.cohere import Cohere
from jackfield.providers.command_line import command_types
from jackfield.providers.completion_servers import Kobold, LlamaServerNative, TgiNative
from jackfield.providers.gemini import Gemini
from jackfield.providers.hugging_face import HuggingFace
from jackfield.providers.human import Human
from jackfield.providers.hybrid import Hybrid
from jackfield.providers.litellm import LiteLLM
from jackfield.providers.llama_direct import BitnetDirect, LlamaDirect
from jackfield.providers.local_llama import LocalLlama
from jackfield.providers.local_transformers import LocalTransformers
from jackfield.providers.mcp_tool import McpTool
from jackfield.providers.ollama import Ollama, OllamaCloud
from jackfield.providers.openai_compatible import OpenAICompatible, preset_type
from jackfield.providers.openrouter import OpenRouter
from jackfield.providers.presets import load_presets
from jackfield.providers.registry import Registrar
from jackfield.providers.replicate import Replicate
from jackfield.providers.scripted import Scripted
from jackfield.providers.tei import Tei
from jackfield.providers.vertex import Vertex
from jackfield.providers.websocket import WebSocketSource

ROWS_WITH_MORE: tuple[type[OpenAICompatible], ...] = (OpenRouter, HuggingFace)
"""Rows whose service tells things that no row can say: each is its row's type with a few calls more."""


def register(registrar: Registrar) -> None:
    """Takes the built-in provider types in, through the same registrar as any plugin."""
    own = {kind.preset.id: kind for kind in ROWS_WITH_MORE}
    for preset in load_presets().values():
        registrar.register(own.get(preset.id) or preset_type(preset))
    registrar.register(Bedrock)
    registrar.register(Cohere)
    registrar.register(Replicate)
    registrar.register(LiteLLM)
    registrar.register(Gemini)
    registrar.register(Vertex)
    registrar.register(Anthropic)
    registrar.register(Ollama)
    registrar.register(OllamaCloud)
    registrar.register(LocalLlama)
    registrar.register(LocalTransformers)
    registrar.register(LlamaDirect)
    registrar.register(BitnetDirect)
    registrar.register(Scripted)
    for source in (Kobold, TgiNative, LlamaServerNative, Tei, McpTool, WebSocketSource, Hybrid, Human):
        registrar.register(source)
    for command in command_types():
        registrar.register(command)
