"""Which connector reads which kind of source: the one place that knows all of them."""

import math

from hub.connectors.agencies.bank import BankConnector
from hub.connectors.agencies.civil import CivilConnector
from hub.connectors.agencies.clinic import ClinicConnector
from hub.connectors.agencies.social import SocialConnector
from hub.connectors.agencies.tax import TaxConnector
from hub.connectors.port import Connector
from hub.connectors.sources import BankSource, CivilSource, ClinicSource, SocialSource, Source, TaxSource
from hub.connectors.transport.http import Pace


def connector_for(source: Source, *, paced: bool = True) -> Connector:
    """A connector for a source; it has read its key files but has not yet spoken to the agency.

    It keeps to the pace that the agency's document asks for, unless it is not ``paced``: only for an agency of the
    sandbox that was told to answer at once (a real one would block the hub). Raises
    :class:`~hub.core.errors.SettingsError` if a key, secret or CA file cannot be used: make all connectors of a pull
    before pulling from any.
    """
    pace = None if paced else Pace(per_second=math.inf, burst=1)
    match source:
        case TaxSource():
            return TaxConnector(source, pace)
        case SocialSource():
            return SocialConnector(source)
        case ClinicSource():
            return ClinicConnector(source)
        case CivilSource():
            return CivilConnector(source, pace)
        case BankSource():
            return BankConnector(source, pace)
