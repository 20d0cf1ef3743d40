"""llama.cpp's HTTP server out of the xllamacpp wheel, behind the options of the `llama-server` command.

The stand-in that scripts/engines leaves where the real command cannot be had. It knows the options that the tests use, and
refuses the others by name rather than ignore them. It has no router: one model per process.
"""

import argparse
import signal
import sys
from importlib.metadata import version


def parse(arguments: list[str]) -> argparse.Namespace:
    """The options of `llama-server` that this stand-in knows, in its spelling."""
    parser = argparse.ArgumentParser(prog="llama-server", allow_abbrev=False)
    parser.add_argument("-m", "--model", required=True)
    parser.add_argument("-a", "--alias", default="")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("-c", "--ctx-size", type=int, default=0)
    parser.add_argument("-np", "--parallel", type=int, default=1)
    parser.add_argument("-t", "--threads", type=int, default=-1)
    parser.add_argument("--api-key", default="")
    parser.add_argument("--pooling", choices=["none", "mean", "cls", "last", "rank"])
    parser.add_argument("--embedding", "--embeddings", action="store_true")
    parser.add_argument("--metrics", action="store_true")
    parser.add_argument("--jinja", action="store_true", help="always on here")
    parser.add_argument("--no-ui", "--no-webui", action="store_true", help="there is none here")
    parser.add_argument("--offline", action="store_true", help="always so here")
    return parser.parse_args(arguments)


def serve(options: argparse.Namespace) -> None:
    """Loads the model and serves until SIGTERM or SIGINT."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = options.model
    params.model_alias = {options.alias} if options.alias else set()
    params.hostnames = [options.host]
    params.port = options.port
    params.n_ctx = options.ctx_size
    params.n_parallel = options.parallel
    params.cpuparams.n_threads = options.threads
    params.api_keys = [key for key in options.api_key.split(",") if key]
    params.endpoint_metrics = options.metrics
    params.embedding = options.embedding
    params.use_jinja = True
    if options.pooling:
        params.pooling_type = getattr(xllamacpp.llama_pooling_type, f"LLAMA_POOLING_TYPE_{options.pooling.upper()}")
    server = xllamacpp.Server(params)
    print(f"serving {options.model} at {server.listening_address}", file=sys.stderr, flush=True)
    signal.sigwait({signal.SIGTERM, signal.SIGINT})


def main() -> None:
    if "--version" in sys.argv:
        print(f"version: xllamacpp {version('xllamacpp')}")
        return
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    serve(parse(sys.argv[1:]))


if __name__ == "__main__":
    main()
