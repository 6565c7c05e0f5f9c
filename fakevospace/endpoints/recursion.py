"""The recursive jobs: delete everything below a node, or set properties on it (protocol.md 8).

Both walk depth first: the entries of a container that are no containers, then the containers, then
the container itself.  What is refused is counted and left; more than 100 refusals abort the job.
The lock is held for one node at a time, so other requests go on.
"""

from __future__ import annotations

from dataclasses import dataclass

from fakevospace.access import Caller
from fakevospace.jobs import Job, Phase
from fakevospace.names import own_path
from fakevospace.nodes import Kind, Node
from fakevospace.properties import ADMIN_ONLY
from fakevospace.refusals import Refusal, invalid_argument, node_not_found, unsupported
from fakevospace.state import State

MAX_ERRORS = 100


class TooManyErrors(Refusal):
    """The job is given up; what was done stays done."""

    def __init__(self) -> None:
        super().__init__(500, f"JobAbortedException: more than {MAX_ERRORS} errors")


class Stopped(Refusal):
    """The job was aborted by somebody else meanwhile."""

    def __init__(self) -> None:
        super().__init__(500, "aborted")


@dataclass(slots=True)
class Tally:
    """What a job has done so far."""

    successes: int = 0
    errors: int = 0

    def fail(self) -> None:
        """Count a refusal.

        Raises:
            TooManyErrors: it was one too many.
        """
        self.errors += 1
        if self.errors > MAX_ERRORS:
            raise TooManyErrors


@dataclass(slots=True)
class _Step:
    """A node on the stack of a walk.

    Attributes:
        entered: its children have been looked at.
        whole: everything below it went well.
        above: the step of its container, None for the first.
    """

    node: Node
    above: _Step | None
    entered: bool = False
    whole: bool = True

    def spoil(self) -> None:
        """Remember, all the way up, that something was left."""
        step: _Step | None = self
        while step is not None and step.whole:
            step.whole = False
            step = step.above


def delete_recursively(state: State, caller: Caller, job: Job) -> Tally:
    """Delete what the job's `target` names, with all below it; a link there is followed.

    Raises:
        Refusal: the target is missing or no URI, or there were too many errors.
    """
    tally, stack = Tally(), [_Step(_target(state, caller, job), None)]
    while stack:
        step = stack[-1]
        _check_running(state, job)
        with state.lock:
            if not step.entered:
                step.entered = True
                stack += _opened(step)
                continue
            stack.pop()
            if not step.whole:
                continue
            try:
                _delete(state, caller, step.node)
                tally.successes += 1
            except Refusal:
                step.spoil()
                tally.fail()
    return tally


def _opened(step: _Step) -> list[_Step]:
    """Return the steps below a step so that plain entries come first when popped."""
    entries = sorted(step.node.children, key=lambda one: one.kind is not Kind.CONTAINER)
    return [_Step(one, step) for one in entries]


def _delete(state: State, caller: Caller, node: Node) -> None:
    if not state.tree.holds(node):
        raise node_not_found(state.space.uri(node.path))
    state.space.check_deletable(node, caller)
    if len(node.children):  # somebody made an entry meanwhile
        raise unsupported(f"container node '{node.name}' is not empty")
    state.tree.discard(node)
    if node.content is not None:
        state.store.delete(node.content)


def set_recursively(state: State, caller: Caller, job: Job) -> Tally:
    """Merge the job's document into its node and all below it, whatever their types; locks do
    not count.  A container that the caller may not write is not entered.

    Raises:
        Refusal: no document, a missing node, an admin-only property, or too many errors.
    """
    draft = job.draft
    if draft is None:
        raise invalid_argument("no node document")
    # Also for an admin, who changes nothing: in all the tree is never meant.
    if not ADMIN_ONLY.isdisjoint(draft.properties):
        raise invalid_argument("Cannot recursively change admin props")
    tally, stack = Tally(), [_Step(_target(state, caller, job), None)]
    while stack:
        step = stack[-1]
        _check_running(state, job)
        with state.lock:
            if not step.entered and caller.can_write(step.node):
                step.entered = True
                stack += _opened(step)
                continue
            stack.pop()
            if not step.entered:
                tally.fail()
                continue
            try:
                state.space.apply(step.node, draft, caller)
                tally.successes += 1
            except Refusal:
                tally.fail()
    return tally


def _target(state: State, caller: Caller, job: Job) -> Node:
    if job.target is None:
        raise invalid_argument("target argument required")
    path = own_path(job.target, state.personality.authority)
    with state.lock:
        try:
            return state.space.resolve(path, caller, follow_leaf=True)
        except Refusal as refusal:
            if refusal.text.startswith("NodeNotFound"):
                raise Refusal(404, f"NodeNotFound: /{path}") from None
            raise


def _check_running(state: State, job: Job) -> None:
    found = state.jobs.get(job.number)
    if found is None or found.phase is not Phase.EXECUTING:
        raise Stopped
