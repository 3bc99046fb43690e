"""What residents, officials and auditors read of the record and of the log; each reading is recorded."""
