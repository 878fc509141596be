"""Everything on one machine: starts and ends Kafka, Redis, Prometheus and Shop Pulse's own processes."""
