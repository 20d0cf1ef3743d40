"""The vocabulary of the house: plain frozen values, events, errors and contracts.

Knows nothing of files, sockets, clocks or any other layer; imports only msgspec and the standard library's pure parts.
"""
