"""Tests of the connectors against real servers of each protocol on loopback."""
