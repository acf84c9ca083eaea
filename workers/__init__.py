"""The engine's working side: what takes messages from the queue and touches hosts and storages."""
