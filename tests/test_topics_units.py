"""The settings of the topics: what the contract asks of them."""

from __future__ import annotations

import pytest

from schemas.events import INPUT_TOPICS
from schemas.fields import MAX_VALUE_BYTES
from streams.topics import ALL_TOPICS, OUTPUT_TOPICS, topic_configs


def test_there_are_nine_topics_to_read_and_two_to_write() -> None:
    """No more and no fewer than the contract names."""
    assert len(INPUT_TOPICS) == 9
    assert OUTPUT_TOPICS == ("dead-letters", "late")
    assert len(set(ALL_TOPICS)) == 11


@pytest.mark.parametrize("topic", ALL_TOPICS)
def test_every_topic_guards_its_time_and_keeps_producers_compression(topic: str) -> None:
    """No record from more than 5 min ahead, any from the past, CreateTime, never compacted."""
    configs = topic_configs(topic, 86_400_000)
    assert configs["message.timestamp.after.max.ms"] == "300000"
    assert configs["message.timestamp.before.max.ms"] == "9223372036854775807"
    assert configs["message.timestamp.type"] == "CreateTime"
    assert configs["compression.type"] == "producer"
    assert configs["cleanup.policy"] == "delete"


def test_the_catalogue_is_kept_for_ever() -> None:
    """Its content is read again by each new read service; the others follow the option."""
    assert topic_configs("catalogue", 86_400_000)["retention.ms"] == "-1"
    assert topic_configs("views", 86_400_000)["retention.ms"] == "86400000"


def test_the_output_topics_take_every_record_of_the_input_topics_with_headers() -> None:
    """Whatever got into an input topic can become a dead letter; and too large ones get in to be one."""
    sizes = {topic: int(topic_configs(topic, -1)["max.message.bytes"]) for topic in ALL_TOPICS}
    largest = max(sizes[topic] for topic in INPUT_TOPICS)
    assert all(sizes[topic] >= largest + 65_536 for topic in OUTPUT_TOPICS)
    assert min(sizes.values()) > MAX_VALUE_BYTES
