"""Batches of sparse matrices against dense ones."""

from __future__ import annotations

import numpy as np
import pytest

from gridmodel.ir.batch import Batch

ROW, COL = np.array([2, 0, 1, 0, 2]), np.array([1, 3, 0, 3, 0])


def batch(size: int, shared: bool) -> tuple[Batch, np.ndarray]:
    """A batch of 3 x 4 matrices with two entries at one place, and the dense matrices."""
    data = np.random.default_rng(0).normal(size=(1 if shared else size, 5))
    dense = np.zeros((size, 3, 4))
    for k in range(size):
        np.add.at(dense[k], (ROW, COL), data[0 if shared else k])
    return Batch.build((3, 4), ROW, COL, data, size), dense


@pytest.mark.parametrize("shared", [False, True])
def test_build_sorts_and_adds_up(shared):
    made, dense = batch(4, shared)
    assert made.nnz == 4
    assert (np.diff(made.row * 4 + made.col) > 0).all()
    assert made.is_shared == shared
    for k in range(4):
        np.testing.assert_allclose(made.dense(k), dense[k])
        np.testing.assert_allclose(made.sparse(k).toarray(), dense[k])
    assert made.full.shape == (4, 4)


@pytest.mark.parametrize("shared", [False, True])
def test_products(shared):
    made, dense = batch(4, shared)
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(4, 4)), rng.normal(size=(4, 3))
    np.testing.assert_allclose(made.dot(x), np.einsum("kij,kj->ki", dense, x))
    np.testing.assert_allclose(made.tdot(y), np.einsum("kij,ki->kj", dense, y))
    blocks = made.diagonal_blocks.toarray()
    np.testing.assert_allclose(blocks[3:6, 4:8], dense[1])
    assert blocks.shape == (12, 16)


def test_equal_matrices_are_kept_once():
    made = Batch.build((2, 2), np.array([0, 1]), np.array([1, 0]), np.array([[1.0, 2.0]] * 5), 5)
    assert made.is_shared
    almost = np.array([[1.0, 2.0]] * 5)
    almost[4, 1] += 1e-16 + 1e-15
    assert not Batch.build((2, 2), np.array([0, 1]), np.array([1, 0]), almost, 5).is_shared


@pytest.mark.parametrize("shared", [False, True])
def test_taking_some(shared):
    made, dense = batch(4, shared)
    some = made.take(np.array([3, 1]))
    assert some.size == 2
    np.testing.assert_allclose([some.dense(0), some.dense(1)], dense[[3, 1]])


def test_diagonals():
    made = Batch.build(
        (2, 3), np.array([0, 1, 1]), np.array([0, 1, 2]), np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]), 2
    )
    np.testing.assert_allclose(made.diagonal(), [[1.0, 2.0], [4.0, 5.0]])
    assert not made.diagonal_only
    assert Batch.build((2, 2), np.array([1]), np.array([1]), np.ones((1, 1)), 3).diagonal_only


def test_empty():
    made = Batch.empty(2, 3, 4)
    np.testing.assert_array_equal(made.dot(np.ones((4, 3))), np.zeros((4, 2)))
    assert made.tdot(np.ones((4, 2))).shape == (4, 3)
