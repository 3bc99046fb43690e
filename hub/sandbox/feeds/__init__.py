"""What each agency knows and sends: one module per agency, in that agency's own words.

A feed is made once from the population, dirt included; the servers of :mod:`hub.sandbox.agencies` only hand it out.
"""
