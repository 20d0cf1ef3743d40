"""The control door: the panel over HTTP, under /control/v1.

`app.py` loads Litestar, which takes a while and some 20 MB; importing this package, or `panel.py`, does not. Whoever mounts
the door imports `app.py` with the first control request.
"""
