"""The order in which the outbox sends, after any sequence of writes, answers, refusals and reconnects."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from daemon.mqtt.outgoing import Delivery
from daemon.outbox.order import RETRY_REFUSED, Next, SendScheduler

RATE = 10.0
TOPICS = ("a", "b", "c")


class Model:
    """A broker, a disk and a clock around a scheduler; each step asserts the rules."""

    def __init__(self) -> None:
        self.now = 100.0
        self.rows: dict[int, str] = {}
        """on disk: not acknowledged"""
        self.in_flight: dict[Delivery, int] = {}
        self.accepted: list[int] = []
        self.backlog: list[float] = []
        """when messages of a backlog were sent"""
        self.refused: dict[str, int] = {}
        """by topic, on this connection: the row to be sent next"""
        self.ever_refused: set[str] = set()
        self._last = self._mid = 0
        self._backlog_until = 0
        self.scheduler = SendScheduler({}, RATE)
        self.connect()

    def write(self, topic: str) -> None:
        self._last += 1
        self.rows[self._last] = topic
        self.scheduler.add(topic, self._last)

    def connect(self) -> None:
        self.in_flight.clear()
        self.refused.clear()
        self._backlog_until = self._last
        self.scheduler.connected(self.now)

    def live(self) -> set[str]:
        """Topics with messages to send and without a backlog.

        Without those that were refused a message and acknowledged later ones: the scheduler notices in their turn.
        """
        unsent = {row: of for row, of in self.rows.items() if row not in self.in_flight.values()}
        late = {of for row, of in unsent.items() if row <= self._backlog_until}
        return set(unsent.values()) - late - self.ever_refused

    def send(self) -> Next | None:
        """What is to be sent now, sent."""
        turn = self.scheduler.next(self.now)
        due = self.scheduler.due()
        assert (turn is not None) == (due is not None and due <= self.now)
        if turn is None:
            return None
        found = sorted(row for row, topic in self.rows.items() if topic == turn.topic and row > turn.after)
        if not found:
            self.scheduler.skip(turn.topic)
        for row in found[: turn.count]:
            self._send(turn.topic, row)
        return turn

    def answer(self, delivery: Delivery, refused: bool) -> None:
        row = self.in_flight.pop(delivery)
        topic = self.rows[row]
        answer = self.scheduler.answered(delivery, refused, self.now)
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
        assert row not in self.in_flight.values()
        waiting = [other for other, of in self.rows.items() if of == topic and other not in self.in_flight.values()]
        assert row == min(waiting)
        if topic in self.refused:
            assert row == self.refused[topic]
            assert topic not in {self.rows[other] for other in self.in_flight.values()}
        assert self.scheduler.in_backlog(topic, row) == (row <= self._backlog_until)
        if row <= self._backlog_until:
            self.backlog.append(self.now)
            assert not self.live(), "that would have been first"
        self._mid += 1
        delivery = Delivery("connection", self._mid)
        self.scheduler.sent(topic, row, delivery, self.now)
        self.in_flight[delivery] = row


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
            for _ in range(min(count, len(model.in_flight))):
                model.answer(list(model.in_flight)[which % len(model.in_flight)], refused=False)
        case ("refuse", int(which)) if model.in_flight:
            model.answer(list(model.in_flight)[which % len(model.in_flight)], refused=True)
        case ("pass", float(seconds)):
            model.now += seconds
        case ("connect",):
            model.connect()


@settings(deadline=None)  # how long one takes depends on what else the machine does
@given(STEPS)
def test_every_message_is_sent_in_order_after_any_steps(steps: list[tuple[object, ...]]) -> None:
    model = Model()
    for what in steps:
        step(model, what)
    for _ in range(100_000):
        while model.send():
            pass
        for delivery in list(model.in_flight):
            model.answer(delivery, refused=False)
        if (due := model.scheduler.due()) is None:
            break
        model.now = max(model.now, due)
    assert not model.rows
    assert model.scheduler.finished
    assert len(set(model.accepted)) == len(model.accepted)
    for first, at in enumerate(model.backlog):
        within = sum(other <= at + 1 for other in model.backlog[first:])
        assert within <= 2 * RATE + 1, "at most the rate, and one second's worth"


def test_a_refused_topic_does_not_delay_the_backlog_of_others() -> None:
    model = Model()
    for topic in ("a", "b", "a", "b"):
        model.write(topic)
    model.connect()
    assert model.send() == Next("a", 0, 1)
    model.answer(next(iter(model.in_flight)), refused=True)
    model.now += 1
    assert model.send() == Next("b", 0, 1)
    assert model.send() == Next("b", 2, 1)
    assert model.send() is None
    for delivery in list(model.in_flight):
        model.answer(delivery, refused=False)
    assert model.scheduler.finished, "a stop does not wait for what is refused"
    model.now += RETRY_REFUSED
    assert model.send() == Next("a", 0, 1)
    assert model.send() is None, "one, until it is accepted"
