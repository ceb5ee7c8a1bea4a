"""Work that would not end, or would eat the machine, is stopped; the next one is not disturbed."""

import time

import pytest

from integration_hub.core.expressions.evaluator import EvaluationFailed, Evaluator


@pytest.fixture(scope="module")
def evaluator():
    pool = Evaluator(1)
    yield pool
    pool.close()


def test_work_is_done_and_its_answer_comes_back(evaluator):
    assert evaluator.run("math:factorial", 20) == 2432902008176640000


def test_a_warm_process_answers_at_once(evaluator):
    evaluator.run("math:sqrt", 4)
    started = time.monotonic()
    evaluator.run("math:sqrt", 4)
    assert time.monotonic() - started < 0.5


@pytest.mark.parametrize(
    ("function", "arguments", "message"),
    [
        ("time:sleep", (30,), "This took longer than 1 seconds, and was stopped."),
        ("builtins:bytearray", (8 * 10**9,), "This took more memory than a preview may have, and was stopped."),
        ("os:abort", (), "This took more memory than a preview may have, and was stopped."),
        ("math:sqrt", (-1,), "This could not be computed: ValueError: math domain error"),
        ("sys:exit", (), "This could not be computed: SystemExit: "),
    ],
)
def test_what_loops_allocates_gigabytes_or_breaks_is_stopped_with_a_sentence_and_the_next_is_undisturbed(evaluator, function, arguments, message):
    started = time.monotonic()
    with pytest.raises(EvaluationFailed) as failed:
        evaluator.run(function, *arguments, seconds=1)

    assert str(failed.value) == message
    assert time.monotonic() - started < 5
    assert evaluator.run("math:sqrt", 9) == 3


def test_the_child_knows_no_secret_of_ours(evaluator, monkeypatch):
    monkeypatch.setenv("SECRET_KEY", "very secret")
    fresh = Evaluator(1)
    assert fresh.run("os:getenv", "SECRET_KEY") is None
    fresh.close()
