"""`jackfield batch`: a file of requests through a running gateway into a file of answers, in the same order."""

import signal
import threading
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from jackfield.app.cli.call import Call, Config, Json, Url

if TYPE_CHECKING:
    from jackfield.app.cli.batch_run import Done, Run
    from jackfield.core.errors import JackfieldError
    from jackfield.gateway.batches.task_file import Task, TaskFile
    from jackfield.store.result_file import ResultFile

MOST_AT_ONCE = 256
PROBLEMS_SHOWN = 5


class Summary(msgspec.Struct, kw_only=True):
    """One run of a batch. `answered` and `failed` are of this run; `skipped` were answered before; `left` are not asked yet.

    `cost_msat` counts what is known; `unpriced` answers are not in it.
    """

    results: str
    total: int
    skipped: int
    answered: int = 0
    failed: int = 0
    left: int = 0
    retries: int = 0
    errors: dict[str, int] = msgspec.field(default_factory=dict)
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_msat: int = 0
    unpriced: int = 0
    seconds: float = 0.0
    interrupted: bool = False

    def take(self, done: "Done") -> None:
        self.left -= 1
        self.retries += done.retries
        if done.result.error is not None:
            self.failed += 1
            self.errors[done.result.error.code] = self.errors.get(done.result.error.code, 0) + 1
            return
        self.answered += 1
        self.prompt_tokens += _count(done.usage, "prompt_tokens")
        self.completion_tokens += _count(done.usage, "completion_tokens")
        self.cost_msat += done.cost_msat or 0
        self.unpriced += done.cost_msat is None


def batch(
    ctx: typer.Context,
    requests: Annotated[Path, typer.Argument(help="File with one request a line.", show_default=False)],
    results: Annotated[Path, typer.Argument(help="File for the answers; one that is there goes on.", show_default=False)],
    model: Annotated[
        str | None, typer.Option("--model", "-m", help="Ask this model, whatever the lines name; without, theirs.")
    ] = None,
    spread: Annotated[
        bool, typer.Option("--spread", help="Spread lines that name no model over all chat slots, whatever they hold.")
    ] = False,
    concurrency: Annotated[
        int, typer.Option("--concurrency", "-c", min=1, max=MOST_AT_ONCE, help="How many at once (default 8).")
    ] = 8,
    retries: Annotated[
        int, typer.Option("--retries", min=0, max=20, help="Tries after the first for what may pass (default 2).")
    ] = 2,
    json: Json = False,
    config: Config = None,
    url: Url = None,
) -> None:
    """Ask every request of a file and write the answers in the same order; run it again to go on where it stopped."""
    from jackfield.app.cli.failures import FAILED, INTERRUPTED, UsedWrongly
    from jackfield.core.errors import JackfieldError

    call = Call.of(ctx, json=json, config=config, url=url)
    if results.exists() and requests.exists() and results.samefile(requests):
        raise UsedWrongly("the answers need a file of their own", param="RESULTS")
    if spread and model is not None:
        raise UsedWrongly("--spread asks all chat slots and --model one: leave one of them out", param="--spread")
    failure: JackfieldError | None = None
    with _requests(requests) as file:
        names = {task.custom_id: None for task in file.tasks}
        with _results(results, names) as answers:
            left = [task for task in file.tasks if not answers.has_good(task.custom_id)]
            summary = Summary(results=str(results), total=len(names), skipped=len(names) - len(left), left=len(left))
            try:
                if left:
                    _ask(call, file, left, answers, summary, _Pace(model, spread, concurrency, retries))
            except JackfieldError as error:
                failure = error
            answers.put_in_order(list(names))
    _say(summary, failure, as_json=call.json)
    if failure is not None:
        raise failure
    if summary.interrupted:
        raise typer.Exit(INTERRUPTED)
    if summary.failed:
        raise typer.Exit(FAILED)


def _requests(path: Path) -> "TaskFile":
    """Raises UsedWrongly with the first problems, each with its line, if any line cannot be asked."""
    from jackfield.app.cli.failures import UsedWrongly
    from jackfield.gateway.batches.task_file import TaskFile

    try:
        file = TaskFile.read(path, bare=True)
    except OSError as error:
        raise UsedWrongly(f"{path} cannot be read ({error.strerror})", param="REQUESTS") from None
    if not file.problems:
        return file
    with file:
        more = file.problem_count - PROBLEMS_SHOWN
        shown = "; ".join(f"line {problem.line}: {problem.message}" for problem in file.problems[:PROBLEMS_SHOWN])
        also = f" (and {more} more)" if more > 0 else ""
        raise UsedWrongly(f"{path}: {shown}{also}; nothing was sent", param="REQUESTS")


def _results(path: Path, names: Collection[str]) -> "ResultFile":
    """Raises UsedWrongly for a file that holds anything else, Conflict while another batch writes it."""
    from jackfield.app.cli.failures import UsedWrongly
    from jackfield.core.errors import BadRequest
    from jackfield.store.result_file import ResultFile

    try:
        return ResultFile.open(path, names)
    except BadRequest as error:
        raise UsedWrongly(error.message, param="RESULTS") from None


class _Pace(msgspec.Struct, frozen=True):
    """How the requests are asked."""

    model: str | None
    spread: bool
    concurrency: int
    retries: int


def _ask(call: Call, file: "TaskFile", left: "list[Task]", answers: "ResultFile", summary: Summary, pace: _Pace) -> None:
    """Asks what is left and writes each answer as it comes. Raises GatewayUnreachable, or JackfieldError for a full disk."""
    from jackfield.app.cli.answers import chat_slots
    from jackfield.app.cli.batch_progress import BatchBar
    from jackfield.app.cli.batch_run import Run, Stopped

    with call.gateway.open("GET", "/health", timeout_s=5.0):
        pass
    needs_default = pace.model is None and not all(task.has_model for task in left)
    defaults = chat_slots(call.gateway) if needs_default else []
    run = Run(
        call.gateway,
        file,
        model=pace.model,
        default_models=defaults if pace.spread else defaults[:1],
        concurrency=pace.concurrency,
        retries=pace.retries,
    )
    began_at = time.monotonic()
    with BatchBar(summary.total, summary.skipped) as bar, _stopped_by_signals(run):
        try:
            for done in run.results(left):
                answers.append(done.result)
                summary.take(done)
                bar.tick(is_good=done.result.error is None)
        except Stopped:
            summary.interrupted = True
        finally:
            summary.seconds = round(time.monotonic() - began_at, 3)


@contextmanager
def _stopped_by_signals(run: "Run") -> Iterator[None]:
    """Ctrl-C and SIGTERM stop the run in good order; a second one ends the program as it always does."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before: dict[int, Any] = {}

    def stop(number: int, _: object) -> None:
        signal.signal(number, before[number])
        run.stop()

    for caught in (signal.SIGINT, signal.SIGTERM):
        before[caught] = signal.signal(caught, stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _say(summary: Summary, failure: "JackfieldError | None", *, as_json: bool) -> None:
    from jackfield.app.cli import output

    if as_json:
        output.result(summary)
    else:
        output.line(_sentence(summary))
    if summary.failed:
        kinds = ", ".join(f"{code} {count}" for code, count in sorted(summary.errors.items()))
        output.note(f"failed: {kinds}; {summary.results} says why, and running this again tries them once more")
    if summary.interrupted or (failure is not None and summary.answered):
        output.note(f"stopped with {summary.left} to go: run this again to go on")


def _sentence(summary: Summary) -> str:
    parts = [f"{summary.answered} answered"]
    for count, word in ((summary.failed, "failed"), (summary.skipped, "answered before"), (summary.left, "not asked")):
        if count:
            parts.append(f"{count} {word}")
    return f"{', '.join(parts)}: {summary.results}"


def _count(usage: dict[str, Any] | None, name: str) -> int:
    value = usage.get(name) if usage else None
    return value if isinstance(value, int) else 0
