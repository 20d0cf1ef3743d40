from jackfield import sync as sync
from jackfield.app.library import ProviderManager as ProviderManager
from jackfield.app.library import create_provider as create_provider
from jackfield.app.service import UnifiedInferenceService as UnifiedInferenceService
from jackfield.app.service import start_unified_service as start_unified_service
from jackfield.app.service_config import InferenceServiceConfig as InferenceServiceConfig
from jackfield.core import errors as errors
from jackfield.core.errors import JackfieldError as JackfieldError
from jackfield.core.messages import Message as Message
from jackfield.core.messages import format_messages as format_messages
from jackfield.core.modes import OperatingMode as OperatingMode
from jackfield.core.profiles import Capabilities as Capabilities
from jackfield.core.profiles import CapabilityRequirement as CapabilityRequirement
from jackfield.core.requests import ChatRequest as ChatRequest
from jackfield.core.requests import EmbedRequest as EmbedRequest
from jackfield.core.requests import Generation as Generation
from jackfield.slots.adapter import InferenceProviderAdapter as InferenceProviderAdapter
from jackfield.slots.completion import Completion as Completion
from jackfield.slots.registry import ProviderRegistry as ProviderRegistry

__version__: str
__all__: list[str]
