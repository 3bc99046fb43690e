"""Acts of data stewards: quarantine, links, challenges, adverse items, households beside their sources."""
