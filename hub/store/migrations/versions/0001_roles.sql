-- Least-privilege roles. They are made before the migrations run (hub/store/roles.py), because a role belongs to the
-- whole server; here only what every database needs.
REVOKE ALL ON SCHEMA public FROM PUBLIC;
