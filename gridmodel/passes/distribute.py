"""Hands the parts of a joint problem to the blocks they belong to."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from gridmodel.passes.blocks import Blocks, attach, group_equal, single_blocks
from gridmodel.passes.cut import OPERATOR, Cut, LocalPart
from gridmodel.passes.gain import empty_block, gain

__all__ = ["Distributed", "attach_all", "distribute"]

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]


@dataclass(frozen=True)
class Distributed:
    """Blocks with their parts of a joint problem; owner and local column of each joint column."""

    pieces: list[Blocks]
    joint: Cut
    owner: Ints
    local: Ints


def distribute(pieces: list[Blocks], joint: Cut, local: Ints, operator: int) -> Distributed:
    """Adds auxiliary columns, rows, cones and cost terms to their blocks; blocks that gain are grouped anew.

    Args:
        pieces: all blocks so far.
        joint: the joint problem, cut.
        local: local columns of the user's joint columns, -1 for auxiliaries.
        operator: number of the operator's block, which is made where it gains anything.
    """
    owner = np.where(joint.owner == OPERATOR, operator, joint.owner)
    place = np.concatenate([local, np.full(len(owner) - len(local), -1, dtype=np.intp)])
    terms = _terms_by_owner(joint, owner)
    parts = {operator if who == OPERATOR else who: part for who, part in joint.parts.items()}
    gainers = set(parts) | set(terms)
    if operator in gainers and not any((piece.block == operator).any() for piece in pieces):
        pieces = [*pieces, empty_block(operator)]
    kept, changed = [], []
    nothing = (np.empty(0, dtype=np.intp), np.empty(0, dtype=np.intp), np.empty(0))
    for piece in pieces:
        if not gainers.intersection(piece.block.tolist()):
            kept.append(piece)
            continue
        for single in single_blocks(piece):
            block = int(single.block[0])
            if block in gainers:
                single = gain(single, parts.get(block, LocalPart()), joint, place, terms.get(block, nothing))
            changed.append(single)
    done = [*kept, *group_equal(changed)]
    return Distributed(_add_linear(done, joint, owner, place, operator), joint, owner, place)


def attach_all(given: Distributed, operator: int) -> list[Blocks]:
    """Gives every block its entries of the coupling rows."""
    matrix = given.joint.matrix[given.joint.coupling].tocoo()
    owner = given.owner[matrix.col]
    local = given.local[matrix.col]
    position = np.full(operator + 1, -1, dtype=np.intp)
    out: list[Blocks] = []
    for piece in given.pieces:
        position[:] = -1
        position[piece.block] = np.arange(piece.size)
        mine = position[owner] >= 0
        out.extend(
            attach(piece, position[owner[mine]], matrix.row[mine].astype(np.intp), local[mine], matrix.data[mine])
        )
    return out


def _terms_by_owner(joint: Cut, owner: Ints) -> dict[int, tuple[Ints, Ints, Floats]]:
    coo = joint.P.tocoo()
    who = owner[coo.row]
    return {
        int(block): (coo.row[who == block].astype(np.intp), coo.col[who == block].astype(np.intp), coo.data[who == block])
        for block in np.unique(who)
    }


def _add_linear(pieces: list[Blocks], joint: Cut, owner: Ints, local: Ints, operator: int) -> list[Blocks]:
    """The joint linear cost, to the columns' owners, and its constant, to the first block."""
    position = np.full(operator + 1, -1, dtype=np.intp)
    used = np.flatnonzero(joint.q)
    out = []
    for piece in pieces:
        position[:] = -1
        position[piece.block] = np.arange(piece.size)
        at = used[position[owner[used]] >= 0]
        q, offset = piece.q.copy(), piece.offset.copy()
        np.add.at(q, (position[owner[at]], local[at]), joint.q[at])
        if position[0] >= 0:
            offset[position[0]] += joint.offset
        out.append(replace(piece, q=q, offset=offset))
    return out
