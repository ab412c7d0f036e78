"""A run that had to wait for its turn takes the version that is deployed when it starts, called pipelines included."""

import asyncio

import msgspec

from engine.core.run import ErrorInfo
from engine.errors import Unavailable
from engine.flow.execution import RECONNECT
from engine.pipeline.match import InvalidInputs, validate_inputs
from engine.runtime import Runtime
from engine.store import ClaimedRun


async def take_newest(runtime: Runtime, run: ClaimedRun) -> ClaimedRun | ErrorInfo | None:
    """The run as it starts. An error: the newest version does not take its inputs. None: the run was taken over.

    A run that has begun keeps its version, and so does a replay whose version was chosen.
    """
    newest = runtime.deployments.current.pipelines.get(run.pipeline)
    if not run.gated or run.turn > 1 or run.attempts or run.replay_of is not None or run.cancel_requested:
        return run
    if newest is None or newest.version == run.version:
        return run
    try:
        inputs = validate_inputs(newest, msgspec.json.decode(run.inputs))
    except InvalidInputs as problem:
        text = f"version {newest.version[:12]}, deployed while this run waited for its turn, does not take its inputs"
        return ErrorInfo(type="invalid_input", message=f"{text}: {problem}", data={"problems": problem.problems})
    encoded = msgspec.json.encode(inputs)
    while True:
        try:
            if await runtime.store.get_replay(run.id) is not None:
                return run
            won = await runtime.store.pin_version(run.id, run.turn, newest.version, encoded)
        except Unavailable:
            await asyncio.sleep(RECONNECT)
            continue
        return msgspec.structs.replace(run, version=newest.version, inputs=encoded) if won else None
