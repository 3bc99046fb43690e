-- What was kept of refused rows is destroyed by age (hub/flows/purge_quarantine.py), each time with an entry of its own.
INSERT INTO audit.event_name (name) VALUES ('quarantine:hub:purged');
