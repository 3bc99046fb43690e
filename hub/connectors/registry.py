"""Which connector reads which kind of source: the one place that knows all of them."""

from hub.connectors.agencies.bank import BankConnector
from hub.connectors.agencies.civil import CivilConnector
from hub.connectors.agencies.clinic import ClinicConnector
from hub.connectors.agencies.social import SocialConnector
from hub.connectors.agencies.tax import TaxConnector
from hub.connectors.port import Connector
from hub.connectors.sources import BankSource, CivilSource, ClinicSource, SocialSource, Source, TaxSource


def connector_for(source: Source) -> Connector:
    """A connector for a source; it has read its key files but has not yet spoken to the agency.

    Raises :class:`~hub.core.errors.SettingsError` if a key, secret or CA file cannot be used: make all connectors of a
    pull before pulling from any.
    """
    match source:
        case TaxSource():
            return TaxConnector(source)
        case SocialSource():
            return SocialConnector(source)
        case ClinicSource():
            return ClinicConnector(source)
        case CivilSource():
            return CivilConnector(source)
        case BankSource():
            return BankConnector(source)
