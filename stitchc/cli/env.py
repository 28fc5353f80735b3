"""`stitchc env`."""

from .run import Outcome, Run, verb


@verb("env", example="stitchc env")
def command(run: Run) -> Outcome:
    """Versions, platform and devices, for bug reports."""
    from ..env import environment
    from ..report.env import EnvironmentReport

    found = environment()
    return Outcome({"schema": 1, **found}, [EnvironmentReport(found)])
