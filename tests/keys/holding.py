"""A hub that holds something in each place that carries a key."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import orjson

from hub.core.text import normalise_name
from hub.flows.keys.rotate_keys import PLACES, KeyDesk
from hub.store.rekey import Place
from tests.records.world import World, bill, consent, event, grade, household, loan, member, number

DAO, YU, OLD, NEW = number("19800101"), number("19820202", 442), number("19900303", 443), number("19900303", 444)
NAMES = {DAO: "刀岩保", YU: "玉香", OLD: "李岩", NEW: "李岩"}


class Holding:
    """The prefecture, what is sealed in it, and what its blind indexes stand for."""

    def __init__(self, desk: KeyDesk, owner: asyncpg.Connection, ingest: asyncpg.Connection) -> None:
        self.desk = desk
        self.owner = owner
        self.world = World(ingest, desk.keys)

    async def fill(self) -> None:
        await self.world.pull(
            civil=[
                household("H1", phone="13900000001"),
                household("H2"),
                member("M1", "H1", "刀岩保", DAO),
                member("M2", "H1", "玉香", YU),
                member("M3", "H2", "李岩", OLD),
                member("M4", "H2", "小李", None, birth_date="2020-05-05"),
                event("E1", "05", "2024-01-01", {"member_no": "M3", "old_id_number": OLD, "new_id_number": NEW}),
            ],
            tax=[grade("G1", DAO), grade("G2", OLD, "李岩"), grade("G3", number("19700101"), "陌生")],
            clinic=[bill("B1", "玉香", address="遮放镇弄坎村委会3组", phone="13900000001")],
            bank=[consent(DAO), loan("J1", DAO)],
        )
        await self.stewards()

    async def stewards(self) -> None:
        """What stewards and people add, as their flows write it."""
        keys, person = self.desk.keys, await self.world.person(DAO)
        now, row = datetime.now(UTC), await self.owner.fetchval("SELECT row_id FROM ingest.held_row LIMIT 1")
        decision, statement, repair, act = uuid4(), uuid4(), uuid4(), uuid4()
        await self.owner.execute(
            "INSERT INTO record.link_decision (county, decision_id, source, source_key, number, row_id, hint_index,"
            " verdict, person_id, identity_index, member_no, steward, sealed_reason, decided_at, event)"
            " VALUES ('533103', $1, 'clinic', 'x', 1, $2, $3, 'LINK', $4, $5, 'M1', 's', $6, $7, $1)",
            decision, row, keys.index("hint", "x"), person["person_id"], person["identity_index"],
            keys.seal("decision", b"reason", decision.bytes), now,
        )  # fmt: skip
        await self.owner.execute(
            "INSERT INTO record.adverse_statement (county, statement_id, source, source_key, number, person_id,"
            " identity_index, sealed_text, stated_at, event) VALUES ('533103', $1, 'tax', 'G1', 1, $2, $3, $4, $5, $1)",
            statement, person["person_id"], person["identity_index"],
            keys.seal("statement", b"words", statement.bytes), now,
        )  # fmt: skip
        await self.owner.execute(
            "INSERT INTO record.adverse_repair (county, repair_id, source, source_key, number, repaired, decided_on,"
            " sealed, steward, recorded_at, event)"
            " VALUES ('533103', $1, 'tax', 'G1', 1, true, '2026-01-01', $2, 's', $3, $1)",
            repair, keys.seal("repair", b"{}", repair.bytes), now,
        )  # fmt: skip
        await self.owner.execute(
            "INSERT INTO auth.account (account_id, role, holder, sealed_holder) VALUES"
            " ('steward-1', 'STEWARD', $1, $2)",
            keys.index("holder", YU), keys.seal("holder", orjson.dumps({"id_number": YU}), b"steward-1"),
        )  # fmt: skip
        await self.owner.execute("INSERT INTO access.organisation VALUES ('402739000011', 'b', 'b', 'BANK')")
        await self.owner.execute(
            "INSERT INTO access.officer (organisation_id, officer_id, holder, sealed_holder)"
            " VALUES ('402739000011', 'li', $1, $2)",
            keys.index("holder", DAO), keys.seal("holder", orjson.dumps({"id_number": DAO}), b"402739000011|li"),
        )  # fmt: skip
        held = await self.owner.fetchval(
            "INSERT INTO ingest.quarantine (row_id, source, source_key, reason, origin, first_seen, last_seen, run_id,"
            " sealed_row) SELECT $1, 'tax', 'k', 1, 'page 1', $2, $2, run_id, $3 FROM ingest.run LIMIT 1"
            " RETURNING number",
            row, now, keys.seal("quarantine", b'{"id": "x"}', row.bytes),
        )  # fmt: skip
        await self.owner.execute(
            "INSERT INTO ingest.quarantine_act (act_id, number, act, steward, acted_at, ev, contract, fingerprint,"
            " sealed_reason, sealed_values) VALUES ($1, $2, 'REPAIRED', 's', $3, $1, 'c', $4, $5, $6)",
            act, held, now, keys.index("content", "act"), keys.seal("quarantine", b"why", act.bytes),
            keys.seal("quarantine", b"{}", act.bytes),
        )  # fmt: skip

        await self.captured()

    async def captured(self) -> None:
        """A batch of a collector's device and the picture that it announced."""
        keys, batch, capture, picture = self.desk.keys, uuid4(), uuid4(), uuid4()
        await self.owner.execute(
            "INSERT INTO consent.device (device_id, account_id, county, village_code, jwk, thumbprint)"
            " VALUES ('d', 'steward-1', '533103', '533103001', '{}', 't')"
        )
        await self.owner.execute(
            "INSERT INTO consent.capture_batch VALUES ('533103', $1, 'd', 'c', sha256(''), $2, now())",
            batch, keys.seal("capture", b"signed", batch.bytes),
        )  # fmt: skip
        await self.owner.execute(
            "INSERT INTO consent.capture (county, capture_id, batch_id, place, device_id, collector, counter,"
            " slip_hash, kind, device_time, received_at, method, form_no, parts, heightened, read_aloud,"
            " has_own_witness, draw, draw_below, state) VALUES ('533103', $1, $2, 0, 'd', 'c', 1, sha256(''),"
            " 'CONSENT', now(), now(), 'PAPER', 'F', '{}', false, false, true, 0, 0, 'CAPTURED')", capture, batch,
        )  # fmt: skip
        await self.owner.execute(
            "INSERT INTO consent.evidence (county, evidence_id, capture_id, kind, media_type, sha256)"
            " VALUES ('533103', $1, $2, 'MASKED_FORM_PHOTO', 'image/png', sha256(''))", picture, capture,
        )  # fmt: skip
        for half in (0, 1):
            await self.owner.execute(
                "INSERT INTO consent.evidence_piece VALUES ('533103', $1, $2, $3)",
                picture, half, keys.seal("evidence", b"half", picture.bytes + bytes([0, 0, 0, half])),
            )  # fmt: skip

    async def ask_consent(self, id_number: str, name: str) -> UUID:
        """A bank asks for consent, as the flow writes it."""
        request, keys = uuid4(), self.desk.keys
        await self.owner.execute(
            "INSERT INTO access.client (client_id, organisation_id, role, county_codes, purposes, jwks,"
            " max_subjects_per_day) VALUES ('risk-a', '402739000011', 'BANK_RISK', '{533103}', '{LOAN_APPLICATION}',"
            " '{}', 50) ON CONFLICT DO NOTHING"
        )
        await self.owner.execute(
            "INSERT INTO consent.request (request_id, organisation_id, client_id, actor, role, purpose, parts,"
            " valid_days, max_uses, identity_indexes, name_indexes, asked_at, expires_at) VALUES ($1, '402739000011',"
            " 'risk-a', 'li', 'BANK_RISK', 'LOAN_APPLICATION', '{tax.grade/VALUE}', 5, 1, $2, $3, now(),"
            " now() + interval '3 days')",
            request, keys.indexes("identity", id_number), keys.indexes("name", normalise_name(name)),
        )  # fmt: skip
        return request

    async def opened(self) -> dict[str, list[bytes]]:
        """Place -> every text sealed in it, opened; fails if one does not open."""
        found: dict[str, list[bytes]] = {}
        for place in PLACES:
            for each in place.sealed:
                context = f"t.{each.bound_to}" if each.bound_to else each.context
                rows = await self.owner.fetch(
                    f"SELECT t.{each.column} AS sealed, {context} AS context FROM {place.table} t"
                    f" WHERE octet_length(t.{each.column}) > 0 ORDER BY {order_of(place)}"
                )
                name = f"{place.table}.{each.column}"
                found[name] = sorted(self.desk.keys.open(each.purpose, row[0], row[1]) for row in rows)
        return found

    async def versions(self) -> dict[str, set[int]]:
        """Place and column -> the key versions found there."""
        found: dict[str, set[int]] = {}
        for place in PLACES:
            for column in place.columns:
                rows = await self.owner.fetch(
                    f"SELECT DISTINCT get_byte({column}, 0) FROM {place.table} WHERE octet_length({column}) > 0"
                )
                found[f"{place.table}.{column}"] = {row[0] for row in rows}
        return found

    async def indexes(self) -> dict[str, list[str]]:
        """Place and column -> whom its blind indexes stand for, in words."""
        keys, words = self.desk.keys, {}
        for text in (*NAMES, number("19700101")):
            words |= dict.fromkeys([*keys.indexes("identity", text), *keys.indexes("holder", text)], text)
        for name in (*NAMES.values(), "小李"):
            words |= dict.fromkeys(keys.indexes("name", name), name)
        words |= dict.fromkeys(keys.indexes("phone", "13900000001"), "phone")
        found = {}
        for place in PLACES:
            for column in place.indexed:
                rows = await self.owner.fetch(f"SELECT {column} FROM {place.table} WHERE {column} IS NOT NULL")
                found[f"{place.table}.{column}"] = sorted(words[row[0]] for row in rows)
        return found

    async def people(self) -> dict[str, Any]:
        """ID number -> who is found by it, under any key."""
        found = {}
        for text in NAMES:
            found[text] = await self.owner.fetchval(
                "SELECT min(person_id::text) FROM record.directory WHERE blind_index = ANY ($1)",
                self.desk.keys.indexes("identity", text),
            )
        return found


def order_of(place: Place) -> str:
    return ", ".join(f"t.{column}" for column, _ in place.key)
