"""A synthetic prefecture and five sandbox agencies that serve it over the real wire formats.

* :mod:`hub.sandbox.prefecture` makes people, households and what each agency knows about them, from a seed.
* :mod:`hub.sandbox.agencies` serves it on loopback exactly as docs/CONTRACTS.md says, one module per agency.
* :mod:`hub.sandbox.misbehaviour` makes an agency slow, wrong, silent or dishonest on request.
* :mod:`hub.sandbox.sandbox` starts everything and writes the ``sources.toml`` with which ``hub pull`` reads it.

Nobody here exists. Names, numbers and villages are drawn at random; ID numbers have right check digits by arithmetic.
"""
