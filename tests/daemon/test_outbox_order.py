"""What is sent next: whatever is written, answered, refused and cut off, in order for each topic and all of it."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from daemon.mqtt.outgoing import Delivery
from daemon.outbox.order import REFUSED, Next, Order

RATE = 10.0
TOPICS = ("a", "b", "c")


class Model:
    """A broker, a disk and a clock around an order; what must hold is asserted at every step."""

    def __init__(self) -> None:
        self.now = 100.0
        self.rows: dict[int, str] = {}
        """on disk: not acknowledged"""
        self.under_way: dict[Delivery, int] = {}
        self.accepted: list[int] = []
        self.late: list[float] = []
        """when late messages were sent"""
        self.refused: dict[str, int] = {}
        """on this connection, by topic: the message that is to be next"""
        self.ever_refused: set[str] = set()
        self._last = self._mid = 0
        self._late_until = 0
        self.order = Order({}, RATE)
        self.connect()

    def write(self, topic: str) -> None:
        self._last += 1
        self.rows[self._last] = topic
        self.order.written(topic, self._last)

    def connect(self) -> None:
        self.under_way.clear()
        self.refused.clear()
        self._late_until = self._last
        self.order.begin(self.now)

    def live(self) -> set[str]:
        """Topics of which something is to be sent, and nothing that is late.

        Not those of which a message was refused and later ones were not: that these are gone is seen in their turn.
        """
        unsent = {row: of for row, of in self.rows.items() if row not in self.under_way.values()}
        late = {of for row, of in unsent.items() if row <= self._late_until}
        return set(unsent.values()) - late - self.ever_refused

    def send(self) -> Next | None:
        """What is to be sent now, sent."""
        turn = self.order.next(self.now)
        due = self.order.due()
        assert (turn is not None) == (due is not None and due <= self.now)
        if turn is None:
            return None
        found = sorted(row for row, topic in self.rows.items() if topic == turn.topic and row > turn.after)
        if not found:
            self.order.passed(turn.topic)
        for row in found[: turn.count]:
            self._send(turn.topic, row)
        return turn

    def answer(self, delivery: Delivery, refused: bool) -> None:
        row = self.under_way.pop(delivery)
        topic = self.rows[row]
        answer = self.order.answered(delivery, refused, self.now)
        assert answer is not None
        assert (answer.topic, answer.row) == (topic, row)
        if refused:
            assert answer.changed == (topic not in self.refused)
            self.refused[topic] = min(row, self.refused.get(topic, row))
            self.ever_refused.add(topic)
        else:
            assert answer.changed == (self.refused.get(topic) == row)
            if answer.changed:
                del self.refused[topic]
            del self.rows[row]
            self.accepted.append(row)

    def _send(self, topic: str, row: int) -> None:
        assert row not in self.under_way.values()
        waiting = [other for other, of in self.rows.items() if of == topic and other not in self.under_way.values()]
        assert row == min(waiting)
        if topic in self.refused:
            assert row == self.refused[topic]
            assert topic not in {self.rows[other] for other in self.under_way.values()}
        assert self.order.is_late(topic, row) == (row <= self._late_until)
        if row <= self._late_until:
            self.late.append(self.now)
            assert not self.live(), "that would have been first"
        self._mid += 1
        delivery = Delivery("connection", self._mid)
        self.order.sent(topic, row, delivery, self.now)
        self.under_way[delivery] = row


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.sampled_from(TOPICS), st.integers(1, 60)),
        st.tuples(st.just("send"), st.integers(1, 20)),
        st.tuples(st.just("accept"), st.integers(0, 200), st.integers(1, 20)),
        st.tuples(st.just("refuse"), st.integers(0, 200)),
        st.tuples(st.just("pass"), st.floats(0, 12)),
        st.tuples(st.just("connect")),
    ),
    max_size=60,
)


def step(model: Model, what: tuple[object, ...]) -> None:
    match what:
        case ("write", str(topic), int(count)):
            for _ in range(count):
                model.write(topic)
        case ("send", int(count)):
            for _ in range(count):
                model.send()
        case ("accept", int(which), int(count)):
            for _ in range(min(count, len(model.under_way))):
                model.answer(list(model.under_way)[which % len(model.under_way)], refused=False)
        case ("refuse", int(which)) if model.under_way:
            model.answer(list(model.under_way)[which % len(model.under_way)], refused=True)
        case ("pass", float(seconds)):
            model.now += seconds
        case ("connect",):
            model.connect()


@settings(deadline=None)  # how long one takes depends on what else the machine does
@given(STEPS)
def test_all_is_sent_in_order_whatever_happens(steps: list[tuple[object, ...]]) -> None:
    model = Model()
    for what in steps:
        step(model, what)
    for _ in range(100_000):
        while model.send():
            pass
        for delivery in list(model.under_way):
            model.answer(delivery, refused=False)
        if (due := model.order.due()) is None:
            break
        model.now = max(model.now, due)
    assert not model.rows
    assert model.order.finished
    assert len(set(model.accepted)) == len(model.accepted)
    for first, at in enumerate(model.late):
        within = sum(other <= at + 1 for other in model.late[first:])
        assert within <= 2 * RATE + 1, "late ones at no more than the rate, and what a second had left"


def test_nothing_late_waits_for_a_topic_that_is_refused() -> None:
    model = Model()
    for topic in ("a", "b", "a", "b"):
        model.write(topic)
    model.connect()
    assert model.send() == Next("a", 0, 1)
    model.answer(next(iter(model.under_way)), refused=True)
    model.now += 1
    assert model.send() == Next("b", 0, 1)
    assert model.send() == Next("b", 2, 1)
    assert model.send() is None
    for delivery in list(model.under_way):
        model.answer(delivery, refused=False)
    assert model.order.finished, "a stop does not wait for what is refused"
    model.now += REFUSED
    assert model.send() == Next("a", 0, 1)
    assert model.send() is None, "one, until it is accepted"
