"""The canary: records that Shop Pulse sends through its own pipeline, to see that they arrive.

A canary is a `source_heartbeat` of a source of its own, as test traffic: it is in no business figure, takes
part in no baseline, and is never taken for a sign of life of a shop's source. It goes to `ads`, the topic
where a record of now does least harm: it moves the ingest time of its topic-partition, by which records of a
source that is behind become late, and in `views` or `carts` that would cost sessions.
"""

from __future__ import annotations

from typing import Final

SOURCE: Final = "shop-pulse-canary"
TOPIC: Final = "ads"
TRAFFIC: Final = "test"
