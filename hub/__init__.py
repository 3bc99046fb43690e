"""The Credit Hub: one household credit record from many agencies, disclosed lawfully, audited provably."""
