"""SOAP 1.1 with a WS-Security user name: requests written from the agency's WSDL, answers read defensively.

zeep writes the requests, so element names, order, types and SOAPAction come from the published WSDL and not from us. It
does not read the answers: it would turn every page into Python objects by way of the schema, refuse rows whose dirt the
hub wants to quarantine one by one, and drop unknown elements that the hub has to count. Answers are parsed with lxml
instead: no DTD, no entities, no network, bounded in size.

Standards: SOAP 1.1; OASIS Web Services Security UsernameToken Profile 1.0 (PasswordDigest).
"""

import re
from collections.abc import Collection
from datetime import UTC
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from lxml import etree

from hub.connectors.transport.http import HttpCaller, Reply
from hub.core.clock import Clock
from hub.core.errors import RetryableError, SourceError
from hub.core.phases import Phase

MAX_ANSWER_BYTES = 32 * 1024 * 1024
"""No answer is larger after decompression; 200 rows need well under one megabyte."""

_FAULT_CODE = re.compile(r"[A-Z]{2}-[0-9]{4}")
_RUBBISH = "Ask the agency to check its service; nothing of this answer was used."


class SoapFault(Exception):  # noqa: N818  an answer of the agency, translated by its connector
    """The service answered with a fault; ``code`` is the agency's error code or ``"?"``, never free text."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class SoapService:
    """Calls the operations of one service over the source's HTTP caller (which carries trust, pace and retries).

    ``temporary`` holds the fault codes after which the same call is tried again; ``phase`` names each try.
    """

    def __init__(
        self,
        *,
        wsdl: Path,
        endpoint_url: str,
        username: str,
        password: str,
        caller: HttpCaller,
        temporary: Collection[str],
        phase: Phase,
    ) -> None:
        import zeep  # takes a third of a second, which only this source should cost
        from zeep.wsse.username import UsernameToken

        self._token = UsernameToken(username, password, use_digest=True, zulu_timestamp=True)  # type: ignore[no-untyped-call]
        self._zeep = zeep.Client(str(wsdl), wsse=self._token)  # type: ignore[no-untyped-call]
        self._url = endpoint_url
        self._caller = caller
        self._temporary = temporary
        self._phase = phase
        self.place = urlsplit(endpoint_url).netloc
        """Host and port, for sentences."""

    def request(self, operation: str, arguments: dict[str, Any], clock: Clock) -> tuple[bytes, dict[str, str]]:
        """Envelope and HTTP headers of one call, with a nonce of its own."""
        # The library writes UTC behind whatever instant it is given, without converting it.
        self._token.created = clock().astimezone(UTC)
        binding = self._zeep.service._binding
        envelope, headers = binding._create(operation, (), arguments, client=self._zeep)
        body: bytes = etree.tostring(envelope, xml_declaration=True, encoding="UTF-8")
        return body, headers

    async def call(self, operation: str, arguments: dict[str, Any], clock: Clock) -> etree._Element:
        """The element inside the answer's Body.

        Raises :class:`SoapFault` for a fault that is not temporary, :class:`~hub.core.errors.SourceError` otherwise.
        """

        def judge(reply: Reply) -> etree._Element | SoapFault:
            content = body_of(parse(reply.body, self.place), self.place)
            if _local(content) == "Fault":
                fault = SoapFault(_fault_code(content))
                if fault.code in self._temporary:
                    raise RetryableError(
                        f"The SOAP service {self.place} is busy ({fault.code}).",
                        remedy="Run the pull again later; nothing is lost.",
                    )
                return fault
            if reply.status != 200 or _local(content) != f"{operation}Response":
                raise SourceError(f"The SOAP service {self.place} gives no {operation}Response.", remedy=_RUBBISH)
            return content

        answer = await self._caller.call(
            "POST",
            self._url,
            judge,
            phase=self._phase,
            expect=(200, 500),
            content=lambda: self.request(operation, arguments, clock),
        )
        if isinstance(answer, SoapFault):
            raise answer
        return answer


def parse(answer: bytes, place: str) -> etree._Element:
    """The root of an XML answer in UTF-8, without comments and processing instructions.

    A document type is refused outright, so no entity is ever declared. Raises :class:`SourceError` naming ``place``.
    """
    parser = etree.XMLParser(
        encoding="utf-8",  # whatever the answer claims: the interface is UTF-8, and the search below relies on it
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        dtd_validation=False,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )
    if len(answer) > MAX_ANSWER_BYTES:
        raise SourceError(f"The SOAP service {place} sends more than {MAX_ANSWER_BYTES} bytes.", remedy=_RUBBISH)
    if b"<!DOCTYPE" in answer:
        raise SourceError(f"The SOAP service {place} sends a document type, which SOAP forbids.", remedy=_RUBBISH)
    try:
        root = etree.fromstring(answer, parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise SourceError(f"The SOAP service {place} sends something that is not XML.", remedy=_RUBBISH) from error
    return root


def body_of(envelope: etree._Element, place: str) -> etree._Element:
    """The one element inside the Body of a SOAP envelope. Raises :class:`SourceError` if there is not exactly one."""
    bodies = [child for child in envelope if _local(child) == "Body"] if _local(envelope) == "Envelope" else []
    if len(bodies) != 1 or len(bodies[0]) != 1:
        raise SourceError(f"The SOAP service {place} sends no SOAP envelope with one body.", remedy=_RUBBISH)
    return bodies[0][0]


def _local(element: etree._Element) -> str:
    return etree.QName(element).localname if isinstance(element.tag, str) else ""


def _fault_code(fault: etree._Element) -> str:
    """The agency's code in ``detail/errorCode``, else the first code-like word of the fault's other texts."""
    texts = [element.text or "" for element in fault.iter() if _local(element) == "errorCode"]
    texts += [element.text or "" for element in fault.iter() if _local(element) in {"faultstring", "faultcode"}]
    for text in texts:
        if match := _FAULT_CODE.search(text):
            return match[0]
    return "?"
