"""Which counties a row concerns, so that only their stewards learn of it.

SQL over a row named ``w``; the value is an array of county codes, null or without a code where none is known. A person
or household that no roster places yet (county 000000) tells none.
"""

CLINIC_COUNTY = """(SELECT ARRAY[substring(w.source_key FROM '^(?:ARR_)?(5331[0-9]{2})')] FROM ingest.source_state s
     WHERE s.source = w.source AND s.kind = 'clinic-sftp')"""
"""Of a clinic's row: the code of the clinic begins its key, or stands in the file name of a key that cannot be read."""

REVIEW_COUNTIES = f"""coalesce(
    (SELECT array_agg(p.county::text) FROM record.person p WHERE p.person_id = w.person_id AND p.county <> '000000'),
    (SELECT array_agg(DISTINCT p.county::text) FROM (
         SELECT person_id FROM record.link_candidate WHERE row_id = w.row_id
         UNION SELECT person_id FROM record.link_proposal WHERE row_id = w.row_id) AS n
     JOIN record.person p USING (person_id) WHERE p.county <> '000000'),
    (SELECT ARRAY[h.county::text] FROM record.household_directory h
     WHERE h.household_no = w.household_no AND h.county <> '000000'),
    {CLINIC_COUNTY})"""
"""Of a row under review: the linked person's, else those of everybody who may be meant, else what the row names.

``w`` has ``row_id``, ``source``, ``source_key``, ``person_id`` and ``household_no``.
"""

ENTRY_COUNTIES = f"""coalesce(
    (SELECT ARRAY[d.county::text] FROM record.directory d
     WHERE d.blind_index = w.subject_index AND d.county <> '000000'),
    (SELECT ARRAY[h.county::text] FROM record.observation o JOIN record.household_directory h USING (household_no)
     WHERE o.row_id = w.row_id AND h.county <> '000000' LIMIT 1),
    (SELECT ARRAY[h.county::text] FROM record.household_directory h
     WHERE w.source_key LIKE 'household|%' AND h.household_no = substr(w.source_key, 11) AND h.county <> '000000'),
    {CLINIC_COUNTY})"""
"""Of a row in quarantine: that of its subject, else of the household that it is about, else of the clinic.

``w`` is ``ingest.held_row``. What stands in the sealed row alone: hub/records/held_back/quarantine_county.py.
"""
