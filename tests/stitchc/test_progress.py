"""Progress: bars on a terminal, a line for what lasts elsewhere, nothing for what is quick."""

from dataclasses import dataclass
from io import StringIO
from typing import ClassVar

import pytest

from stitchc.passes.data.plan import Plan
from stitchc.passes.pipeline import Pass, Pipeline
from stitchc.progress import Clock, Silent, stage
from stitchc.report import progress
from stitchc.report.progress import progress_on


@dataclass(frozen=True)
class Nap(Pass):
    name: ClassVar[str] = "similarity"

    def __call__(self, plan: Plan) -> Plan:
        return plan


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock(monkeypatch):
    """A clock on which whatever is timed takes three seconds."""
    ticks = iter(range(0, 10_000, 3))
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(ticks))


def test_a_log_gets_a_line_for_each_stage_that_lasts(clock):
    stream = StringIO()
    Pipeline([Nap()], callback=progress_on(stream))(Plan(()))
    assert stream.getvalue() == "comparing representations: 3.0 s\n"


def test_what_is_quick_passes_without_a_word_unless_asked():
    for verbose, said in ((False, ""), (True, "loading a.pt: < 0.1 s\n")):
        stream = StringIO()
        with stage(progress_on(stream, verbose=verbose), "loading a.pt"):
            pass
        assert stream.getvalue() == said


def test_a_terminal_gets_a_bar_once_there_is_something_to_count(monkeypatch):
    for name in ("NO_COLOR", "TERM", "FORCE_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    stream = Terminal()
    watcher = progress_on(stream)
    with stage(watcher, "measuring plain"):
        watcher.update(3, 7)
        watcher.bars.refresh()
    assert "measuring plain" in stream.getvalue() and "3/7" in stream.getvalue()


def test_a_failure_ends_the_stage():
    watcher = progress_on(Terminal())
    with pytest.raises(ZeroDivisionError), stage(watcher, "x"):
        raise ZeroDivisionError
    assert watcher.bars is None and watcher.stages == []


def test_an_error_within_a_pass_leaves_no_bar_behind():
    class Broken(Nap):
        def __call__(self, plan: Plan) -> Plan:
            raise ZeroDivisionError

    watcher = progress_on(Terminal())
    with pytest.raises(ZeroDivisionError):
        Pipeline([Broken()], callback=watcher)(Plan(()))
    watcher.close()
    assert watcher.bars is None and watcher.stages == []


def test_nobody_watches(capfd):
    watcher = Silent()
    plan = Pipeline([Nap()], callback=watcher)(Plan(()))
    with stage(watcher, "measuring plain"):
        watcher.update(1, 2)
    assert list(plan.seconds) == [Nap.name]
    assert capfd.readouterr() == ("", "")


def test_a_log_gets_a_line_now_and_then_of_what_lasts(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    stream = StringIO()
    watcher = progress_on(stream)
    with stage(watcher, "probing stitches"):
        for now[0], done in ((5.0, 1), (40.0, 4), (50.0, 5), (80.0, 8)):
            watcher.update(done, 10, "probing stitches, best so far 0.873")
    assert stream.getvalue() == (
        "probing stitches, best so far 0.873: 4 of 10, 40 s so far, about 1 min 0 s to go\n"
        "probing stitches, best so far 0.873: 8 of 10, 1 min 20 s so far, about 20 s to go\n"
        "probing stitches: 1 min 20 s\n"
    )


def test_what_remains_is_told_of_what_is_counted_now(monkeypatch):
    """A second count begins where the first has ended, and of nothing that remains nothing is said."""
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    stream = StringIO()
    watcher = progress_on(stream)
    with stage(watcher, "timing"):
        for now[0], done, total in ((10.0, 90, 90), (50.0, 10, 40), (90.0, 40, 40)):
            watcher.update(done, total)
    assert stream.getvalue() == (
        "timing: 10 of 40, 50 s so far, about 2 min 0 s to go\n"
        "timing: 40 of 40, 1 min 30 s so far\n"
        "timing: 1 min 30 s\n"
    )


def test_a_bar_says_what_remains_and_the_best_so_far(monkeypatch):
    for name in ("NO_COLOR", "TERM", "FORCE_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    stream = Terminal()
    watcher = progress_on(stream)
    with stage(watcher, "probing stitches"):
        watcher.update(3, 7, "probing stitches, best so far 0.873")
        watcher.bars.refresh()
    assert "best so far 0.873" in stream.getvalue() and "to go" in stream.getvalue()


def test_a_part_within_another_counts_for_itself_alone(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("stitchc.progress.time.perf_counter", lambda: now[0])
    clock = Clock()
    with clock("choose"):
        now[0] = 1.0
        for end in (3.0, 6.0):
            with clock("heal"):
                now[0] = end
        with pytest.raises(ZeroDivisionError), clock("fit"):
            now[0] = 10.0
            raise ZeroDivisionError
    with clock("measure"):
        now[0] = 11.0
    assert clock.seconds == {"heal": 5.0, "fit": 4.0, "choose": 1.0, "measure": 1.0}
