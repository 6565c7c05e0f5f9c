"""Threads of which only one runs at a time, and only when it is told to.

A `Stagehand` starts actors: real threads that run only while they hold the baton.  An actor gives
the baton back

* where the network would let others run (`pause`, called by the simulated service);
* where it waits on a lock's condition, sleeps, or joins another actor;
* where it is about to take a lock, when it was told to run no further than so many locks.

Whoever calls `run` decides who goes on, so an interleaving is a list of choices, and the same list
gives the same run.  Time is a number that only `advance` moves.  `kill` ends all actors where they
stand, as kill -9 does.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from functools import partial
from typing import Any

STUCK_S = 60.0  # an actor that keeps the baton so long is a hang of the product
UNLIMITED = 1 << 30


class ActorKilled(BaseException):
    """The process is gone; nothing may catch this for good."""


class Actor:
    """One thread of the play; made by `Stagehand.start`.

    Attributes:
        name: for messages.
        value: what its job returned.
        error: what its job raised.
        ended: it has returned or raised.
        at: where it stands: what it will do when it gets the baton next.
    """

    def __init__(self, stagehand: Stagehand, name: str, job: Callable[[], object]) -> None:
        self.name, self._job, self._stagehand = name, job, stagehand
        self.value: object = None
        self.error: BaseException | None = None
        self.ended = False
        self.at = "start"
        self.go = threading.Semaphore(0)
        self.locks_left = UNLIMITED
        self.may_run: Callable[[], bool] = lambda: True
        self.deadline: float | None = None
        self.notified = False
        self.thread = threading.Thread(target=self._main, name=f"actor {name}")

    def _main(self) -> None:
        self.go.acquire()
        try:
            if not self._stagehand.killing:
                self.value = self._job()
        except BaseException as exc:
            self.error = exc
        finally:
            self.ended = True
            self._stagehand.baton.release()


class Stagehand:
    """See the module's docstring.  It is the `Clock`, the `Threads` and the `Turns` of a session.

    Args:
        now: what its clock shows at first, seconds.
    """

    def __init__(self, now: float = 1_000_000.0) -> None:
        self._now = now
        self._actors: list[Actor] = []
        self._waiting: dict[threading.Condition, list[Actor]] = {}
        self._current: Actor | None = None
        self.baton = threading.Semaphore(0)
        self.killing = False

    # -- from outside ---------------------------------------------------------------------------

    def start(self, name: str, job: Callable[[], object]) -> Actor:
        """Add an actor; it stands at the beginning of its job until it is told to run."""
        actor = Actor(self, name, job)
        self._actors.append(actor)
        actor.thread.start()
        return actor

    @property
    def ready(self) -> list[Actor]:
        """The actors that could go on, in the order in which they came."""
        return [actor for actor in self._actors if self._is_ready(actor)]

    @property
    def standing(self) -> list[Actor]:
        """The actors that have not ended."""
        return list(self._actors)

    @property
    def next_deadline(self) -> float | None:
        """When the first of the waiting actors would go on by itself; None: none ever."""
        return min((a.deadline for a in self._actors if a.deadline is not None), default=None)

    def run(self, actor: Actor, locks: int = UNLIMITED) -> None:
        """Let `actor` go on until it gives the baton back.

        Args:
            actor: one of `ready`.
            locks: how many locks it may take before it has to.
        """
        actor.locks_left = locks
        actor.may_run, actor.deadline = (lambda: True), None
        self._current = actor
        actor.go.release()
        assert self.baton.acquire(timeout=STUCK_S), f"{actor.name} does not come back: {actor.at}"
        self._current = None
        if actor.ended:
            actor.thread.join()
            self._actors.remove(actor)

    def kill(self) -> None:
        """End every actor where it stands; what their `finally` clauses do still happens."""
        self.killing = True
        while self._actors:
            self.run(self._actors[0])
        self._waiting.clear()
        self.killing = False

    # -- the clock ------------------------------------------------------------------------------

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._now += seconds

    def monotonic(self) -> float:
        """See `Clock`."""
        return self._now

    def time_ns(self) -> int:
        """See `Clock`."""
        return int(self._now * 1000) * 1_000_000

    def sleep(self, seconds: float) -> None:
        """See `Clock`: an actor stands still, everybody else lets time pass."""
        if self._current is None:
            self.advance(seconds)
        else:
            self._stand("sleep", lambda: False, self._now + seconds)

    # -- threads --------------------------------------------------------------------------------

    def thread(self, target: Callable[[], None], name: str) -> ActorThread:
        """See `Threads`."""
        return ActorThread(self, target, name)

    def pool(self, workers: int, name: str) -> ActorPool:
        """See `Threads`."""
        return ActorPool(self, workers, name)

    def join(self, actor: Actor) -> None:
        """Stand still until `actor` has ended."""
        if self._current is None:
            assert actor.ended, f"{actor.name} is joined from outside and has not ended"
        else:
            self._stand(f"join {actor.name}", lambda: actor.ended, None)

    # -- from inside ----------------------------------------------------------------------------

    def pause(self, where: str) -> None:
        """Give the baton back; everything may happen before it returns."""
        if self._current is not None:
            self._stand(where, lambda: True, None)

    def take(self, condition: threading.Condition) -> None:
        """See `Turns`."""
        if self._current is None:
            assert condition.acquire(timeout=STUCK_S), "an actor stands with that lock held"
            return
        self._current.locks_left -= 1
        if self._current.locks_left < 0 and not self.killing:
            self._stand("lock", lambda: True, None)
        self._acquire(condition)

    def wait(self, condition: threading.Condition, timeout_s: float | None) -> bool:
        """See `Turns`."""
        actor = self._current
        assert actor is not None, "only actors wait"
        deadline = None if timeout_s is None else self._now + timeout_s
        self._waiting.setdefault(condition, []).append(actor)
        actor.notified = False
        condition.release()
        try:
            self._stand("wait", lambda: actor.notified, deadline)
        finally:
            if actor in self._waiting.get(condition, []):
                self._waiting[condition].remove(actor)
            self._acquire(condition)
        return actor.notified

    def notify_all(self, condition: threading.Condition) -> None:
        """See `Turns`."""
        for actor in self._waiting.pop(condition, []):
            actor.notified = True

    def _acquire(self, condition: threading.Condition) -> None:
        while not condition.acquire(blocking=False):
            self._stand("taken lock", lambda: _is_free(condition), None)

    def _stand(self, where: str, may_run: Callable[[], bool], deadline: float | None) -> None:
        actor = self._current
        assert actor is not None
        if self.killing:
            raise ActorKilled
        actor.at, actor.may_run, actor.deadline = where, may_run, deadline
        self.baton.release()
        actor.go.acquire()
        if self.killing:
            raise ActorKilled

    def _is_ready(self, actor: Actor) -> bool:
        if actor.deadline is not None and self._now >= actor.deadline:
            return True
        return actor.may_run()


def _is_free(condition: threading.Condition) -> bool:
    if condition.acquire(blocking=False):
        condition.release()
        return True
    return False


class ActorThread:
    """A thread of the product, as an actor; see `Thread`."""

    def __init__(self, stagehand: Stagehand, target: Callable[[], None], name: str) -> None:
        self._stagehand, self._target, self._name = stagehand, target, name
        self._actor: Actor | None = None

    def start(self) -> None:
        self._actor = self._stagehand.start(self._name, self._target)

    def is_alive(self) -> bool:
        return self._actor is not None and not self._actor.ended

    def join(self) -> None:
        assert self._actor is not None
        self._stagehand.join(self._actor)


class ActorPool(Executor):
    """A pool of the product: each task is an actor, at most so many at a time, in order."""

    def __init__(self, stagehand: Stagehand, workers: int, name: str) -> None:
        self._stagehand, self._free, self._name = stagehand, workers, name
        self._queued: list[Callable[[], object]] = []
        self._running: list[Actor] = []
        self._shut = False

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """See `Executor`."""
        if self._shut:
            raise RuntimeError("cannot schedule new futures after shutdown")
        future: Future[Any] = Future()

        def task() -> None:
            try:
                future.set_result(fn(*args, **kwargs))
            except Exception as exc:
                future.set_exception(exc)

        self._queued.append(task)
        self._fill()
        return future

    def _fill(self) -> None:
        while self._queued and self._free:
            self._free -= 1
            job = partial(self._work, self._queued.pop(0))
            self._running.append(self._stagehand.start(self._name, job))

    def _work(self, task: Callable[[], object]) -> None:
        try:
            task()
        finally:
            self._free += 1
            self._fill()

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """See `Executor`."""
        self._shut = True
        if cancel_futures:
            self._queued.clear()
        if wait:
            for actor in self._running:
                self._stagehand.join(actor)
