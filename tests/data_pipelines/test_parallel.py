"""Work over processes: in order, errors passed on, nothing left hanging."""

import functools
import os
import signal

import pytest

from data_pipelines.parallel import CHUNK, ordered
from unimedvlp.errors import UserError


def times(factor, number):
    return os.getpid(), factor * number


def make():
    return functools.partial(times, 3)


def failing():
    def function(number):
        if number == 40:
            raise UserError("item 40 is broken")
        return number

    return function


def killed():
    def function(number):
        if number == 40:
            os.kill(os.getpid(), signal.SIGKILL)
        return number

    return function


@pytest.mark.parametrize("count", [0, 1, CHUNK, CHUNK + 1, 10 * CHUNK + 3])
def test_results_come_in_order_from_other_processes(count):
    results = list(ordered(make, range(count), 2))
    assert [result for _, result in results] == [3 * number for number in range(count)]
    assert all((pid == os.getpid()) == (count <= CHUNK) for pid, _ in results)


def test_one_worker_is_this_process():
    assert {pid for pid, _ in ordered(make, range(100), 1)} == {os.getpid()}


def test_an_error_arrives_after_the_results_before_it():
    results = ordered(failing, range(100), 2)
    assert [next(results) for _ in range(32)] == list(range(32))
    with pytest.raises(UserError, match="item 40 is broken"):
        list(results)


def test_a_killed_worker_is_one_clear_line():
    with pytest.raises(UserError, match="a worker process was killed"):
        list(ordered(killed, range(100), 2))


def test_endless_items_are_read_only_as_far_ahead_as_needed():
    read = []

    def items():
        number = 0
        while True:
            read.append(number)
            yield number
            number += 1

    results = ordered(make, items(), 2)
    assert [next(results)[1] for _ in range(3)] == [0, 3, 6]
    results.close()
    assert len(read) < 10 * CHUNK


def refusing():
    raise UserError("the list of the source is broken")


def test_an_error_before_the_first_item_is_told():
    with pytest.raises(UserError, match="the list of the source is broken"):
        list(ordered(refusing, range(100), 2))
