"""What arrives: event types, and the way from a Kafka record's bytes to an event or to a reason why not.

fields        types and bounds of fields
envelope      what events have in common
events        one record per event type; topics, Kafka keys
verdicts      the closed list of reasons, in order
codec         bytes -> Event | Rejected, fast
exact         behind codec: the reason against a record, and the doubtful records
totals        behind codec: rules over the amounts of one order or refund
plain         bytes -> dict | Rejected: the second opinion, for `verify` and tests; plain_tables: its fields
partitioning  key -> partition number, as Kafka does
documents     JSON Schema and AsyncAPI, generated from the records; samples.jsonl: golden samples
"""
