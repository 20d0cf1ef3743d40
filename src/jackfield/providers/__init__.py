"""Adapters, presets and the registrar through which built-ins and plugins enter alike."""
