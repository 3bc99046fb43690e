"""Proof that it happened: outbox, sequencer, signed Merkle log, receipts, and a verifier that needs no database."""
