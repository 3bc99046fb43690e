"""The sandbox agencies: real servers on 127.0.0.1, one module for each kind of interface in docs/CONTRACTS.md."""
