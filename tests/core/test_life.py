"""Any sequence of legal moves keeps what the design promises about jobs."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, precondition, rule

from heygem_daemon.core.error_catalog import ErrorKind
from heygem_daemon.core.job import FINAL, Item, Job, State
from heygem_daemon.core.policy import Backoff, Policy, after_failure, after_interruption, choose
from tests.core.making import failure, item, job

POLICY = Policy(attempts=3, backoff=Backoff((30.0, 120.0, 600.0)))


class JobStateMachine(RuleBasedStateMachine):
    """A small daemon: it drops, starts, finishes, crashes, cancels and retries, with a clock of its own."""

    jobs = Bundle("jobs")

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0
        self.known: dict[str, Job] = {}
        self.published: dict[tuple[str, str], Item] = {}
        self.starts: dict[tuple[str, str], int] = {}
        """Starts that cost an attempt, since the item was last queued by hand."""

    def save(self, changed: Job) -> None:
        self.known[changed.id] = changed.rollup(self.now)

    def running(self) -> list[tuple[Job, Item]]:
        return [(each, one) for each in self.known.values() for one in each.items if one.state is State.RUNNING]

    @rule(target=jobs, count=st.integers(1, 3), priority=st.integers(-1, 1), inbox=st.sampled_from(["/a", "/b"]))
    def drop(self, count: int, priority: int, inbox: str) -> str:
        job_id = f"job-{len(self.known)}"
        items = (item(str(number)) for number in range(count))
        self.save(job(*items, id=job_id, priority=priority, inbox=inbox, queued_at=self.now))
        return job_id

    @rule(seconds=st.sampled_from([1.0, 30.0, 601.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def start(self) -> None:
        chosen = choose(self.known.values(), self.now)
        if chosen is not None:
            of, ready = chosen
            assert not of.on_hold
            key = (of.id, ready.key)
            self.starts[key] = self.starts.get(key, 0) + 1
            self.save(of.with_item(ready.transition(State.RUNNING, token=str(self.now), attempt=ready.attempt + 1, failure=None)))

    @precondition(lambda self: self.running())
    @rule(data=st.data())
    def publish(self, data: st.DataObject) -> None:
        of, one = data.draw(st.sampled_from(self.running()))
        done = one.transition(State.SUCCEEDED, result={"frames": 1})
        self.published[of.id, one.key] = done
        self.save(of.with_item(done))

    @precondition(lambda self: self.running())
    @rule(data=st.data(), kind=st.sampled_from(ErrorKind), code=st.sampled_from(["internal", "worker_died"]), give_up=st.booleans())
    def fail(self, data: st.DataObject, kind: ErrorKind, code: str, give_up: bool) -> None:
        of, one = data.draw(st.sampled_from(self.running()))
        failed = after_failure(one, kind, failure(code), self.now, POLICY, give_up=give_up)
        if kind in {ErrorKind.TRANSIENT, ErrorKind.SETUP}:
            self.starts[of.id, one.key] -= 1
        self.save(of.with_item(failed))

    @rule(orderly=st.booleans())
    def stop_and_start_again(self, orderly: bool) -> None:
        for of, one in self.running():
            if orderly:
                self.starts[of.id, one.key] -= 1
            self.save(self.known[of.id].with_item(after_interruption(one, POLICY, orderly=orderly)))

    @rule(job_id=jobs, on_hold=st.booleans())
    def hold(self, job_id: str, on_hold: bool) -> None:
        one = self.known[job_id]
        self.save(Job(**{**vars(one), "on_hold": on_hold}))

    @rule(job_id=jobs)
    def cancel(self, job_id: str) -> None:
        one = self.known[job_id]
        for each in one.items:
            if not each.is_final:
                one = one.with_item(each.transition(State.CANCELLED, token=""))
        self.save(one)

    @rule(job_id=jobs)
    def retry(self, job_id: str) -> None:
        one = self.known[job_id]
        for each in one.items:
            if each.state in {State.FAILED, State.CANCELLED}:
                self.starts[one.id, each.key] = 0
                one = one.with_item(each.transition(State.QUEUED, attempt=0, backoff_count=0, not_before=0.0, failure=None))
        self.save(one)

    @invariant()
    def attempts_are_bounded_and_counted(self) -> None:
        for each in self.known.values():
            for one in each.items:
                assert 0 <= one.attempt <= POLICY.attempts
                if one.state is State.RUNNING:
                    assert one.attempt == self.starts[each.id, one.key]

    @invariant()
    def what_is_published_stays_published(self) -> None:
        for (job_id, key), done in self.published.items():
            assert self.known[job_id].item(key) == done

    @invariant()
    def a_job_is_over_exactly_when_its_items_are(self) -> None:
        for each in self.known.values():
            assert each.is_final == all(one.state in FINAL for one in each.items)
            assert (each.finished_at is not None) == each.is_final
            assert each.rollup(self.now) == each
            if each.state is State.SUCCEEDED:
                assert all(one.result for one in each.items)

    @invariant()
    def only_a_running_attempt_has_a_token(self) -> None:
        for each in self.known.values():
            for one in each.items:
                assert bool(one.token) == (one.state in {State.RUNNING, State.SUCCEEDED})

    def teardown(self) -> None:
        """No job is lost: left alone, with everything going well, each comes to its end."""
        self.stop_and_start_again(True)
        for each in list(self.known.values()):
            self.hold(each.id, False)
        for _ in range(sum(len(each.items) for each in self.known.values())):
            self.now += 601
            chosen = choose(self.known.values(), self.now)
            if chosen is not None:
                running = chosen[1].transition(State.RUNNING)
                self.save(chosen[0].with_item(running.transition(State.SUCCEEDED, result={"frames": 1})))
        assert all(each.is_final for each in self.known.values())


TestJobStateMachine = pytest.mark.timeout(120)(JobStateMachine.TestCase)
TestJobStateMachine.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
