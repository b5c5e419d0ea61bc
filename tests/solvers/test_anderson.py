"""Anderson acceleration on maps whose fixed point is known."""

from __future__ import annotations

import numpy as np

from gridmodel_solvers.anderson import Anderson, accelerate


def test_a_linear_map_is_solved_in_as_many_steps_as_it_has_dimensions() -> None:
    rng = np.random.default_rng(0)
    n = 6
    M = rng.normal(size=(n, n))
    M *= 0.95 / np.abs(np.linalg.eigvals(M)).max()
    c = rng.normal(size=n)
    fixed = np.linalg.solve(np.eye(n) - M, c)
    v, memory = np.zeros(n), Anderson(20)
    for _ in range(n + 2):
        v, memory = accelerate(memory, v, M @ v + c)
    np.testing.assert_allclose(v, fixed, atol=1e-8)


def test_memory_keeps_its_size() -> None:
    memory, v = Anderson(3), np.ones(5)
    for _ in range(10):
        v, memory = accelerate(memory, v, np.cos(v) * np.arange(1, 6) / 6)
    assert len(memory.changes) == 3


def test_a_bad_jump_goes_back_to_the_best_point() -> None:
    memory = Anderson(5)
    v = np.array([1.0, 0.0])
    v, memory = accelerate(memory, v, np.array([0.5, 0.0]))
    v, memory = accelerate(memory, v, np.array([0.3, 0.1]))
    assert memory.jumped
    assert memory.best is not None
    best = memory.best[1]
    back, fresh = accelerate(memory, v, v + 100.0)
    np.testing.assert_array_equal(back, best)
    assert fresh.changes == ()
    assert fresh.last is None


def test_an_eager_one_pauses_where_it_was_sent_back_before() -> None:
    memory, v = Anderson(5, eager=True), np.array([1.0, 0.0])
    pauses = []
    for g in (np.array([0.5, 0.0]), np.array([0.3, 0.1])):
        v, memory = accelerate(memory, v, g)
    for _ in range(2):
        v, memory = accelerate(memory, v, v + 100.0)  # a bad jump
        pauses.append(memory.pause)
        for _ in range(8):
            v, memory = accelerate(memory, v, v + 0.9)  # no better than the best, no worse than twice as bad
            if memory.jumped:
                break
    assert pauses == [0, 4]


def test_without_memory_of_a_step_the_map_is_taken() -> None:
    g = np.array([0.25, 2.0])
    v, _ = accelerate(Anderson(5), np.zeros(2), g)
    np.testing.assert_array_equal(v, g)
