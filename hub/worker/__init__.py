"""The worker: pulls every source on its schedule and does the jobs of the day, until it is stopped."""
