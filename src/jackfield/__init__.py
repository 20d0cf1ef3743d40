"""jackfield: every source of inference you can reach, plugged into numbered slots.

The public face. Importing it does no I/O and loads few modules; what is heavy is loaded when first used.
"""

__version__ = "0.1.0"
