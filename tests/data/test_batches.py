"""Order, resuming, prefetching: what a trainer relies on."""

import functools
import operator
import threading
import time

import numpy as np
import pytest

from flownet.data.augmentations import Crop, Flip
from flownet.data.batches import Batches
from flownet.data.split import ArraySplit, Field
from flownet.errors import FlownetError
from flownet.types import DType


def numbered(count):
    """A split whose example i is an image full of i."""
    image = np.broadcast_to(np.arange(count, dtype=np.float32)[:, None, None, None], (count, 1, 4, 4))
    return ArraySplit({"image": image}, {"image": Field(DType.float32, (1, 4, 4), "image")})


def seen(batches, epoch, start=0):
    return [batch["image"][:, 0, 0, 0].astype(int).tolist() for batch in batches.epoch(epoch, start)]


def test_each_epoch_takes_each_example_once_in_a_new_order():
    batches = Batches(numbered(10), 4, seed=1)
    first, second = seen(batches, 0), seen(batches, 1)
    assert [len(b) for b in first] == [4, 4, 2]
    assert (
        sorted(functools.reduce(operator.iadd, first, []))
        == sorted(functools.reduce(operator.iadd, second, []))
        == list(range(10))
    )
    assert first != second
    assert first == seen(Batches(numbered(10), 4, seed=1), 0)
    assert first != seen(Batches(numbered(10), 4, seed=2), 0)


def test_without_shuffling_the_order_of_the_split():
    assert seen(Batches(numbered(5), 2, shuffle=False), 9) == [[0, 1], [2, 3], [4]]


def test_drop_last():
    batches = Batches(numbered(10), 4, drop_last=True)
    assert [len(b) for b in seen(batches, 0)] == [4, 4]
    assert len(batches) == 2
    assert len(Batches(numbered(10), 4)) == 3


@pytest.mark.parametrize("workers", [0, 1, 3])
@pytest.mark.parametrize("start", [0, 1, 7, 12, 13])
def test_a_resumed_epoch_goes_on_bit_by_bit_whatever_the_threads(workers, start):
    augmentations = (Flip(), Crop(size=4, padding=1))
    whole = [b["image"] for b in Batches(numbered(50), 4, seed=5, augment=augmentations, workers=0).epoch(2)]
    resumed = Batches(numbered(50), 4, seed=5, augment=augmentations, workers=workers).epoch(2, start)
    resumed = [b["image"] for b in resumed]
    assert len(resumed) == 13 - start
    for a, b in zip(whole[start:], resumed, strict=True):
        assert a.tobytes() == b.tobytes()


def test_a_batch_larger_than_the_data(refused):
    with refused("batch-too-large", "a batch takes 8 examples, the data have 5", "5 or less"):
        Batches(numbered(5), 8)
    assert seen(Batches(numbered(5), 8, shuffle=False), 0) == [[0, 1, 2, 3, 4]]
    with refused("bad-option", "`batch` is 0"):
        Batches(numbered(5), 0)


class Slow:
    """A split that decodes: it takes its time, counts what was asked of it, and fails where told."""

    in_memory = False

    def __init__(self, split, seconds=0.0, fails_at=None):
        self.split, self.seconds, self.fails_at = split, seconds, fails_at
        self.fields, self.taken, self.threads = split.fields, 0, set()

    def __len__(self):
        return len(self.split)

    def take(self, indices):
        self.taken += 1
        self.threads.add(threading.current_thread().name)
        time.sleep(self.seconds)
        if self.fails_at == self.taken:
            raise FlownetError.of("data-unreadable", "here.png cannot be read")
        return self.split.take(indices)


def running_threads():
    return [t for t in threading.enumerate() if t.name.startswith("flownet-data")]


def wait_until(holds, seconds=30.0):
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, f"not so after {seconds} s"
        time.sleep(0.001)


def test_decoding_runs_beside_the_consumer():
    split = Slow(numbered(40))
    epoch = Batches(split, 4, ahead=3).epoch(0)
    next(epoch)
    # the consumer computes and asks for nothing: the next three batches are decoded meanwhile, and no more
    wait_until(lambda: split.taken == 4)
    time.sleep(0.05)
    assert split.taken == 4
    assert threading.current_thread().name not in split.threads
    epoch.close()


def test_what_the_consumer_waited_is_counted():
    batches = Batches(Slow(numbered(8), 0.02), 4)
    epoch = batches.epoch(0)
    next(epoch)
    first = batches.waited_s
    assert first >= 0.02
    wait_until(lambda: batches.split.taken == 2)
    next(epoch)
    assert batches.waited_s >= first
    epoch.close()


def test_an_error_arrives_at_its_batch(refused):
    epoch = Batches(Slow(numbered(40), fails_at=3), 4).epoch(0)
    next(epoch)
    next(epoch)
    with refused("data-unreadable", "here.png"):
        next(epoch)
    assert not running_threads()


def test_closing_stops_the_threads():
    epoch = Batches(Slow(numbered(400), 0.002), 4, workers=2).epoch(0)
    next(epoch)
    assert running_threads()
    epoch.close()
    assert not running_threads()


def test_an_interrupt_in_the_consumer_stops_the_threads():
    def consume():
        for _ in Batches(Slow(numbered(400), 0.002), 4).epoch(0):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        consume()
    assert not running_threads()


def test_a_split_in_memory_needs_no_thread():
    assert Batches(numbered(8), 4).workers == 0
    assert Batches(numbered(8), 4, augment=[Flip()]).workers == 1
    assert Batches(Slow(numbered(8)), 4).workers == 1


def test_the_fields_are_those_after_the_augmentations():
    batches = Batches(numbered(8), 4, augment=[Crop(size=2)])
    assert batches.fields["image"].shape == next(iter(batches.epoch(0)))["image"].shape[1:] == (1, 2, 2)
