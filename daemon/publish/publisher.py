"""All that is published: results, states and events in, MQTT messages out."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from daemon.config.schema import Config
from daemon.control import command_payloads
from daemon.control.commands import CommandRequest, CommandScope
from daemon.control.settings import Setting, Value
from daemon.media.snapshots import Subject
from daemon.mqtt.incoming import Received, Subscription
from daemon.mqtt.link import Link, LinkState
from daemon.mqtt.outgoing import Delivery, DeliveryCallbacks, FrameReceipt, Handover, Message, Presence, Refusal
from daemon.mqtt.topics import DeviceTopics
from daemon.outbox.disk_or_memory import Recovery
from daemon.outbox.readings import OutboxReadings
from daemon.outbox.sender import OutboxSender
from daemon.outbox.store import outbox_path
from daemon.publish import payloads
from daemon.publish.device_states import DeviceStates
from daemon.publish.formats.fanout import Formats
from daemon.publish.formats.format import DeliveryKind, FrameMessage, OutgoingMessage
from daemon.publish.formats.thread import FormatsThread
from daemon.publish.frame_sender import FrameSender
from daemon.publish.object_publisher import ObjectPublisher
from daemon.publish.read_back import ReadBack
from daemon.publish.retained_memory import retained_topics
from daemon.publish.retained_sender import RetainedSender
from daemon.publish.subscription import subscription_of
from daemon.records import CameraStatus, DaemonInfo, Drop, Event, FrameResult
from daemon.records.objects import LineState, ZoneState
from daemon.stats import DaemonCount, Reader, Stats
from daemon.system.credits import Credits


class Publisher:
    """Owns the link to the broker and all that is sent over it: frames and states, events, and other formats.

    Frames are sent at once or dropped and counted (see FrameSender); the latest info and states are retained by the
    broker; events wait on disk until the broker has acknowledged them. `on_fatal` gets what ends a thread.
    """

    def __init__(
        self,
        config: Config,
        info: DaemonInfo,
        stats: Stats,
        on_fatal: Callable[[BaseException], None],
        commands: Subscription | None = None,
        credit: Credits | None = None,
        on_retained: Callable[[str, bytes], None] | None = None,
    ) -> None:
        """`credit` is taken for every result that is not live, and given back here when nothing more becomes of it.

        `on_retained` gets, in any thread, each topic that changes and its payload; an empty one clears it.
        """
        credit = credit or Credits()
        mqtt, self._device = config.mqtt, config.device
        self._config = config
        self._stats = stats
        self._reader = Reader()
        self._topics = DeviceTopics.of(mqtt.prefix, config.device)
        self._formats = Formats(mqtt, self._topics, config.device, self._publish, self._settle)
        path, recovery = outbox_path(mqtt.outbox, config.device), Recovery(self._stale, self._recovered)
        self._outbox = OutboxSender(path, mqtt.outbox, self._deliver, on_fatal, stats.acknowledged, recovery)
        self.outbox = OutboxReadings(path, lambda: self._outbox.counts)
        read_back = ReadBack(self._topics.root, self._outbox.kept)
        self._link = Link(
            mqtt,
            client_id=mqtt.client(config.device),
            presence=Presence(self._topics.status, b"online", b"offline"),
            on_state=self._link_changed,
            on_fatal=on_fatal,
            subscription=commands and subscription_of(commands, self._formats, read_back, self._echo, self._adopt),
            callbacks=DeliveryCallbacks(self._acknowledged, self._awaiting, self._written, self._lost, self._too_large),
        )
        self._presences = [
            Link(mqtt, mqtt.client(config.device, number), presence, None, on_fatal)
            for number, presence in enumerate(self._formats.presences, 1)
        ]
        self._retained = RetainedSender(self._link, self._outbox.kept, self._outbox.keep, on_retained)
        self._frames = FrameSender(config, self._link, stats, self._retained, self._report, self._done, on_fatal)
        self._formats_thread = FormatsThread(self._formats, self._formatted, self._link.publish, stats, on_fatal)
        self.objects = ObjectPublisher(config, info, self._topics, self._outbox, self._retained.retain)
        """what is published of objects, zones and lines"""
        self._states = DeviceStates(config.device, self._topics, self._retained.retain)
        self._published = credit.consumer("publish")
        self._formatting_done = credit.consumer("formats") if self._formats else lambda: None
        self.info(info)

    @property
    def link(self) -> LinkState:
        """How the connection to the broker stands."""
        return self._link.state

    def start(self) -> None:
        """Begins to connect and to publish, once the next run would know what this one retains."""
        for event in self.objects.finish():
            self.event(event)
        self._claim()
        self._outbox.start()
        for link in (self._link, *self._presences):
            link.start()
        self._frames.start()
        self._formats_thread.start()

    def event(self, event: Event) -> None:
        """Publishes an event; returns at once. It waits in the outbox until the broker acknowledges it."""
        self.objects.event(event)
        self._formats_thread.event(event)

    def area(self, state: ZoneState | LineState) -> None:
        """Takes how a zone or a line is now; returns at once."""
        self.objects.area(state)

    def results(self, results: Sequence[FrameResult]) -> None:
        """Publishes results; returns at once. Skipped ones go to the other formats alone."""
        self._states.follow_clock()
        self.objects.follow_clock()
        self._formats_thread.results(results)
        self._frames.results([result for result in results if not result.skipped])
        for result in results:
            if result.skipped:
                self._done(result, formatted=False)

    def waiting(self) -> int:
        """Frames that wait to be sent."""
        return self._frames.waiting()

    def formats_waiting(self) -> int:
        """Results and changes that wait for the other formats."""
        return self._formats_thread.waiting()

    def camera_status(self, status: CameraStatus) -> None:
        """Publishes a camera's new state, retained."""
        self._states.camera_status(status)

    def info(self, info: DaemonInfo) -> None:
        """Publishes what the device is and runs, retained."""
        self._info = info
        self.objects.info(info)
        self._states.info(info)
        self._formats_thread.configure(self._config, info)

    def configure(self, config: Config) -> None:
        """Takes a new configuration; the retained topics of removed cameras are cleared."""
        self._config = config
        self.objects.configure(config)
        self._states.keep(config.cameras)
        self._frames.configure(config)
        self._formats_thread.configure(config, self._info)

    def setting(self, camera: str, which: Setting, value: Value, commanded: bool) -> None:
        """Publishes a camera's setting, retained, and whether a command has set it."""
        payload = command_payloads.setting_message(self._device, camera, which, value, commanded=commanded)
        self._retained.retain(command_payloads.setting_topic(self._topics, camera, which).name, payload, camera)
        self._formats_thread.setting(camera, which, value)

    def send(self, message: Message) -> bool:
        """Hands a message of its own kind to the network now, from any thread; False: it is to be tried again."""
        return self._link.send(message) is not Handover.NO_ROOM

    def largest_picture(self, subject: Subject) -> int | None:
        """Bytes of the largest JPEG that the broker takes as this snapshot; None: not connected."""
        fitting = map(self._link.max_payload, self._pictures(subject, b""))
        return min((size for size in fitting if size is not None), default=None)

    def picture(self, subject: Subject, jpeg: bytes) -> None:
        """Hands a snapshot to the network, from any thread; waits a little for room, and drops it without a broker."""
        for message in self._pictures(subject, jpeg):
            there = not message.retain or self._retained.claim_now(message.topic, subject.camera)
            too_large = there and self._link.send(message, patiently=True) is Handover.TOO_LARGE
            # the broker keeps nothing rather than an older picture, or that of a camera that has just been removed
            if message.retain and (not self._retained.claim(message.topic, subject.camera) or too_large):
                self._link.publish(message.topic, b"", retain=True)

    def request(self, scope: CommandScope, message: Received) -> CommandRequest | None:
        """A command in one of the other formats; None where the message is none of theirs."""
        return self._formats.request(scope, message)

    @property
    def reserved(self) -> tuple[str, ...]:
        """Topics of the other formats: no command may name a response topic below them."""
        return self._formats.roots

    def stats_now(self) -> None:
        """Makes the next report due, where there is a broker."""
        self._frames.stats_now()

    def hurry(self) -> None:
        """For the start of a shutdown, before the stages that give results stop: nothing waits for a broker now."""
        self._frames.hurry()

    def stop(self, timeout: float) -> bool:
        """Sends what waits if there is a broker, says `offline` and disconnects; False if that took too long."""
        deadline = time.monotonic() + timeout
        drained = self._formats_thread.stop(timeout / 4)  # which gives the others what is still to be sent
        frames_by = deadline - timeout / 2  # the other half is for the events and the farewell
        drained &= self._frames.stop(max(0.0, frames_by - time.monotonic()))
        drained &= self._outbox.stop(timeout / 8)
        for link in (*self._presences, self._link):
            drained &= link.stop(max(0.0, deadline - time.monotonic()))
        return drained

    def _claim(self) -> None:
        """The topics of this device that are published later; those of other formats are claimed by these."""
        for topic in (self._topics.status, *(presence.topic for presence in self._formats.presences)):
            self._retained.claim(topic.name)
        for name, camera in self._config.cameras.items():
            topics = self._topics.camera(name)
            own = [topics.status, *(topics.state(setting) for setting in Setting)]
            if self._config.tracked(name) is not None:
                own += [*map(topics.zone, camera.zones), *map(topics.line, camera.lines)]
            for topic in own:
                self._retained.claim(topic.name, name)
        self._retained.remember()
        if not self._formats:
            self._retained.settle()

    def _settle(self) -> None:
        self._retained.settle()

    def _stale(self, kept: Mapping[str, bytes]) -> Mapping[str, bytes | None]:
        return self.objects.stale(kept)

    def _recovered(self, kept: Mapping[str, bytes]) -> None:
        """In the thread `outbox`: what earlier runs have kept, where that could not be read at the start."""
        for event in self.objects.late(kept):
            self.event(event)
        self._adopt(retained_topics(kept))

    def _pictures(self, of: Subject, jpeg: bytes) -> Iterator[Message]:
        yield Message(self._topics.camera(of.camera).snapshot.name, jpeg, "image/jpeg", user_properties=of.properties)
        yield from self._formats.pictures(of.camera, of.labels, jpeg)

    def _report(self) -> list[FrameMessage]:
        """How the device is doing, since the last of these."""
        self._states.follow_clock()
        report = self._stats.report(tuple(self._config.cameras), self._reader)
        self._formats_thread.stats(report)
        return [(self._topics.stats.name, payloads.stats(self._device, report, self._outbox.counts))]

    def _formatted(self, result: FrameResult, messages: Sequence[FrameMessage]) -> None:
        """In the thread `formats`: what the other formats have for a frame."""
        if messages:
            self._frames.formatted(result, messages)
        else:
            self._done(result, formatted=True)

    def _done(self, result: FrameResult, formatted: bool) -> None:
        """Nothing more becomes of a result, as our own message or in other formats."""
        if not result.live:
            (self._formatting_done if formatted else self._published)()

    def _publish(self, message: OutgoingMessage) -> None:
        if message.kind is DeliveryKind.EVENT:
            self._outbox.put(message.topic, message.payload, time.monotonic())
        elif message.kind is DeliveryKind.CLEARED:
            self._link.publish(message.topic, b"", retain=True)
        elif message.kind is DeliveryKind.CLAIMED and message.camera is not None:
            self._retained.claim(message.topic, message.camera)
        else:
            self._retained.retain(message.topic, message.payload, message.camera)

    def _echo(self, message: Received) -> None:
        self._formats_thread.echo(message)

    def _adopt(self, topics: Iterable[str]) -> None:
        self._retained.adopt(topics)

    def _deliver(self, topic: str, payload: bytes) -> Delivery | Handover:
        return self._link.deliver(topic, payload)

    def _acknowledged(self, delivery: Delivery, refusal: Refusal | None) -> None:
        self._outbox.acknowledged(delivery, refusal)

    def _awaiting(self) -> bool:
        return self._outbox.is_awaiting

    def _written(self, receipts: Sequence[FrameReceipt]) -> None:
        now = time.monotonic()
        self._stats.published([(camera, now - captured) for camera, captured in receipts])
        self._frames.written()

    def _lost(self, receipts: Sequence[FrameReceipt]) -> None:
        for camera, _ in receipts:
            self._stats.dropped(camera, Drop.NOT_CONNECTED)

    def _too_large(self) -> None:
        self._stats.count_daemon(DaemonCount.TOO_LARGE)

    def _link_changed(self, state: LinkState) -> None:
        self._states.follow_clock()
        self._outbox.link_changed(state.connected)
        self._retained.link_changed(state.connected)
