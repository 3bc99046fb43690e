from uuid import uuid4

from hub.audit.note import VerifierKey
from tests.audit.conftest import ORIGIN, Log


async def test_one_event_gets_a_receipt_that_verifies(log: Log) -> None:
    async with log.running() as (_, receipts):
        [ev] = await log.write(log.query(uuid4(), uuid4()))
        receipt = await receipts.wait(ev, 5)
    key = VerifierKey.of(ORIGIN, log.keys.signing_key("audit-log").public_key().public_bytes_raw())
    checkpoint = receipt.verify(key)
    assert (receipt.leaf().ev, receipt.index, checkpoint.size) == (ev, 0, 1)
    print(receipt.as_text(), receipt.entry, len(receipt.entry))
