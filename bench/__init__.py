"""`make bench`: the hub measured beside what else could have been built, in one run on one machine (docs/BENCH.md)."""
