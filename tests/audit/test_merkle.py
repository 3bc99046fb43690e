"""The tree against the published vectors of RFC 6962's test log, and against a naive tree."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.audit.commitments import tree_root
from hub.audit.merkle import (
    EMPTY_ROOT,
    Frontier,
    ProofError,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    node_hash,
    root_at,
    root_of,
    verify_consistency,
    verify_inclusion,
)

LEAVES = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


def naive_root(leaves: list[bytes]) -> bytes:
    """RFC 6962 section 2.1, word for word."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return node_hash(naive_root(leaves[:split]), naive_root(leaves[split:]))


def naive_inclusion(index: int, leaves: list[bytes]) -> list[bytes]:
    """RFC 6962 section 2.1.1, word for word."""
    if len(leaves) == 1:
        return []
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    if index < split:
        return [*naive_inclusion(index, leaves[:split]), naive_root(leaves[split:])]
    return [*naive_inclusion(index - split, leaves[split:]), naive_root(leaves[:split])]


def naive_consistency(old: int, leaves: list[bytes], whole: bool = True) -> list[bytes]:
    """RFC 6962 section 2.1.2, word for word."""
    if old == len(leaves):
        return [] if whole else [naive_root(leaves)]
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    if old <= split:
        return [*naive_consistency(old, leaves[:split], whole), naive_root(leaves[split:])]
    return [*naive_consistency(old - split, leaves[split:], False), naive_root(leaves[:split])]


def some_leaves(number: int) -> list[bytes]:
    return [leaf_hash(b"%d" % at) for at in range(number)]


def reader(leaves: list[bytes]):
    return lambda height, index: naive_root(leaves[index << height : (index + 1) << height])


def test_roots_are_the_published_ones() -> None:
    assert EMPTY_ROOT.hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    frontier = Frontier()
    for leaf, root in zip(LEAVES, ROOTS, strict=True):
        frontier.append(leaf_hash(leaf))
        assert frontier.root().hex() == root


@given(st.integers(0, 300))
def test_growing_tree_equals_the_naive_one(size: int) -> None:
    leaves = some_leaves(size)
    nodes = {}
    frontier = Frontier()
    for leaf in leaves:
        nodes.update(frontier.append(leaf))
    assert frontier.root() == naive_root(leaves) == root_of(leaves) == root_at(size, lambda h, i: nodes[h, i])
    assert dict(frontier.named_nodes()).items() <= nodes.items()
    if leaves:
        assert tree_root(leaves) == naive_root(leaves)


@given(st.integers(1, 200).flatmap(lambda size: st.tuples(st.just(size), st.integers(0, size - 1))))
def test_inclusion_proofs(given_: tuple[int, int]) -> None:
    size, index = given_
    leaves = some_leaves(size)
    proof = inclusion_proof(index, size, reader(leaves))
    assert proof == naive_inclusion(index, leaves)
    root = naive_root(leaves)
    verify_inclusion(leaves[index], index, size, proof, root)
    for wrong in (
        lambda: verify_inclusion(leaf_hash(b"x"), index, size, proof, root),
        lambda: verify_inclusion(leaves[index], index + 1, size, proof, root),
        lambda: verify_inclusion(leaves[index], -1, size, proof, root),
        lambda: verify_inclusion(leaves[index], index, size, [*proof, root], root),
        lambda: verify_inclusion(leaves[index], index, size, proof[:-1] or [root], root),
        lambda: verify_inclusion(leaves[index], index, size, proof, EMPTY_ROOT),
        lambda: verify_inclusion(leaves[index], index, size, [item[:31] for item in proof] or [b""], root),
    ):
        with pytest.raises(ProofError):
            wrong()


@given(st.integers(1, 200).flatmap(lambda size: st.tuples(st.just(size), st.integers(1, size))))
def test_consistency_proofs(given_: tuple[int, int]) -> None:
    new, old = given_
    leaves = some_leaves(new)
    proof = consistency_proof(old, new, reader(leaves))
    assert proof == naive_consistency(old, leaves)
    before, after = naive_root(leaves[:old]), naive_root(leaves)
    verify_consistency(old, new, proof, before, after)
    forged = [
        lambda: verify_consistency(0, new, [], EMPTY_ROOT, after),
        lambda: verify_consistency(new + 1, new, proof, before, after),
        lambda: verify_consistency(old, new, [*proof, after], before, after),
        lambda: verify_consistency(old, new, proof, leaf_hash(b"x"), after),
        lambda: verify_consistency(old, new, proof, before, leaf_hash(b"x")),
    ]
    for wrong in forged:
        with pytest.raises(ProofError):
            wrong()


def test_node_cannot_be_passed_off_as_a_leaf() -> None:
    left, right = some_leaves(2)
    root = node_hash(left, right)
    assert leaf_hash(left + right) != root
    with pytest.raises(ProofError):
        verify_inclusion(leaf_hash(left + right), 0, 1, [], root)


def test_frontier_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match="one hash"):
        Frontier(3, [EMPTY_ROOT])
