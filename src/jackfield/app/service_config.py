"""InferenceServiceConfig: how a Python program says which parts of jackfield it wants, and what that is in our settings.

Knows the names of settings, not what they do. What is left at its default here stays as the environment and the file have it.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from jackfield.app.settings import Loaded, Problem, SettingsInvalid, load_settings
from jackfield.app.settings_providers import KnownProviders, installed_cards
from jackfield.core.errors import BadRequest, NotSupported
from jackfield.core.parameters import did_you_mean

SETTING_OF: Mapping[str, str] = {
    "backend_health_checks": "routing.health_checks",
    "backend_health_check_interval": "routing.health_interval_s",
    "load_balancing_strategy": "routing.policy",
    "hf_server_host": "server.host",
    "hf_server_port": "server.port",
    "hf_auto_discover_skills": "discovery.enabled",
    "hf_enable_hardware_detection": "discovery.hardware",
    "enable_websocket": "server.websocket",
}
"""The settings that a field sets by itself. The others decide what is made at all, or what is plugged."""


@dataclass(frozen=True)
class InferenceServiceConfig:
    """Which parts run. What differs from its default here wins over the environment and the settings file.

    `enable_backend_manager` False: requests are still routed, but no source is looked at by itself.
    `enable_hf_server` False: no port is taken, so there is no WebSocket either.
    `hf_auto_discover_skills`: what is served on this machine is found and plugged at start.
    `api_backends`, `cli_backends`: ids or aliases of providers to plug at start. `consent`: prompts may go to those of them
    that are on other machines. `enable_libp2p` must be False: there is no peer-to-peer node to start.
    `settings_file`: as `jackfield up --config`. `store`: the folder of this service, which no other may use meanwhile.
    The interval is in seconds; port 0 takes a free one.
    """

    enable_backend_manager: bool = True
    backend_health_checks: bool = True
    backend_health_check_interval: float = 60
    load_balancing_strategy: str = "round_robin"
    enable_hf_server: bool = True
    hf_server_host: str = "127.0.0.1"
    hf_server_port: int = 7311
    hf_auto_discover_skills: bool = True
    hf_enable_hardware_detection: bool = True
    enable_websocket: bool = True
    enable_libp2p: bool = False
    libp2p_bootstrap_peers: Collection[str] = ()
    enable_api_backends: bool = True
    api_backends: Collection[str] = ()
    enable_cli_backends: bool = True
    cli_backends: Collection[str] = ()
    consent: bool = False
    settings_file: str | Path | None = None
    store: str | Path | None = None


_DEFAULTS = InferenceServiceConfig()


def load_service_settings(config: InferenceServiceConfig, environ: Mapping[str, str] | None = None) -> Loaded:
    """The settings that the service runs with: those of `jackfield up`, with the config's in the place of its flags.

    Raises NotSupported for peers, BadRequest for a provider that there is not, SettingsInvalid for a wrong value; each names
    the field.
    """
    _refuse_peers(config)
    file = Path(config.settings_file) if config.settings_file is not None else None
    flags = _flags(config)
    try:
        loaded = load_settings(file, environ, flags)
        plugged = _plugged(config, _known(loaded))
        return load_settings(file, environ, {**flags, **plugged}) if plugged else loaded
    except SettingsInvalid as error:
        raise SettingsInvalid([_by_field(problem) for problem in error.problems]) from None


def _flags(config: InferenceServiceConfig) -> dict[str, Any]:
    said = {setting: getattr(config, field) for field, setting in SETTING_OF.items() if _is_said(config, field)}
    if config.store is not None:
        said["store"] = str(config.store)
    if not config.enable_backend_manager:
        said["routing.health_checks"] = False
    return said


def _is_said(config: InferenceServiceConfig, field: str) -> bool:
    return bool(getattr(config, field) != getattr(_DEFAULTS, field))


def _plugged(config: InferenceServiceConfig, known: KnownProviders) -> dict[str, Any]:
    wanted = [
        _canonical(known, name, field)
        for field, is_on in (("api_backends", config.enable_api_backends), ("cli_backends", config.enable_cli_backends))
        if is_on
        for name in _names(config, field)
    ]
    flags: dict[str, Any] = dict.fromkeys((f"providers.{provider}.enabled" for provider in wanted), True)
    if config.consent:
        flags |= dict.fromkeys((f"providers.{provider}.consent" for provider in wanted), "allow")
    return flags


def _known(loaded: Loaded) -> KnownProviders:
    return KnownProviders(installed_cards(loaded.settings.presets, loaded.settings.plugins))


def _canonical(known: KnownProviders, name: str, field: str) -> str:
    provider = known.canonical(name)
    if provider is None:
        raise BadRequest(f"{field}: no provider is called {name!r}{did_you_mean(name, known.names)}", param=field)
    return provider


def _names(config: InferenceServiceConfig, field: str) -> tuple[str, ...]:
    given = getattr(config, field)
    if isinstance(given, str) or not all(isinstance(name, str) for name in given):
        raise BadRequest(f"{field} must be a list of names, got {given!r}", param=field)
    return tuple(given)


def _refuse_peers(config: InferenceServiceConfig) -> None:
    for field in ("enable_libp2p", "libp2p_bootstrap_peers"):
        if getattr(config, field):
            raise NotSupported(f"{field}: this version has no peer-to-peer node: leave it out", param=field)


def _by_field(problem: Problem) -> Problem:
    """The same problem under the field's name, where a field brought it about."""
    names = {setting: field for field, setting in SETTING_OF.items()}
    if not problem.origin.startswith("flag ") or problem.key not in names:
        return problem
    return Problem(InferenceServiceConfig.__name__, names[problem.key], problem.message)


assert {field.name for field in fields(InferenceServiceConfig)} >= set(SETTING_OF)
