"""Tiles: names, widths, bundles, and nodes out of tiles."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.audit.merkle import Frontier, complete_nodes, leaf_hash
from hub.audit.tiles import (
    BundleError,
    TileBuilder,
    TreeNeeds,
    TreeParts,
    index_path,
    pack_entries,
    subtree,
    tile_path,
    tile_widths,
    tiles_of,
    unpack_entries,
)


def test_names_are_those_of_the_specification() -> None:
    assert index_path(1234067) == "x001/x234/067"
    assert index_path(0) == "000"
    assert tile_path(0, 273, 112) == "tile/0/273.p/112"
    assert tile_path("entries", 1000) == "tile/entries/x001/000"


def test_widths_are_those_of_the_specification() -> None:
    assert [len(tile_widths(level, 70_000)) for level in range(4)] == [274, 2, 1, 0]
    assert [tile_widths(level, 70_000)[-1] for level in range(3)] == [112, 17, 1]
    assert [tile_widths(level, 256) for level in range(3)] == [[256], [1], []]


@given(st.lists(st.binary(max_size=300), max_size=20))
def test_bundles_come_back(entries: list[bytes]) -> None:
    bundle = pack_entries(entries)
    assert unpack_entries(bundle) == entries
    if bundle and entries[-1]:
        with pytest.raises(BundleError) as caught:
            unpack_entries(bundle[:-1])
        assert caught.value.entries == entries[:-1]


@pytest.mark.parametrize("size", [1, 255, 256, 257, 600, 66_000])
def test_every_node_of_the_right_edge_comes_out_of_tiles(size: int) -> None:
    leaves = [leaf_hash(b"%d" % at) for at in range(size)]
    frontier, builder = Frontier(), TileBuilder()
    stored = {}
    for index, leaf in enumerate(leaves):
        frontier.append(leaf)
        for level, at, root, hashes in builder.append(leaf, index):
            stored[level, at] = (root, hashes)
    complete = {place: hashes for place, hashes in tiles_of(leaves).items() if len(hashes) == 256}
    assert {place: b"".join(hashes) for place, hashes in complete.items()} == {
        place: hashes for place, (_, hashes) in stored.items()
    }
    needs, parts = TreeNeeds(size), TreeParts()
    for node in complete_nodes(0, size):
        needs.add(node)
    for place in needs.tiles:
        parts.put_tile(*place, stored[place][1])
    for level, (first, last) in needs.roots.items():
        for at in range(first, last):
            parts.put_hash(level + 1, at, stored[level, at][0])
    for at in range(*needs.leaves):
        parts.put_hash(0, at, leaves[at])
    assert [(node, parts.node(*node)) for node in complete_nodes(0, size)] == frontier.named_nodes()
    assert all(root == subtree([hashes[at : at + 32] for at in range(0, 8192, 32)]) for root, hashes in stored.values())
