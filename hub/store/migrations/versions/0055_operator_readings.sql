-- Operators' commands that read what names officers or cases say so in the log, as the API does.
INSERT INTO audit.event_name (name) VALUES ('alert:operator:listed'), ('basis:operator:listed');
