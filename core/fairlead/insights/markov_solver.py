"""Removal effects of an absorbing Markov chain, by linear algebra instead of simulation.

The chain starts, moves from state to state and ends in a conversion or in null. The removal effect of a channel is the
part of all conversions that is lost when every state with that channel in it leads to null (E. Anderl, I. Becker,
F. von Wangenheim, J. H. Schumann: Mapping the customer journey, 2016). By value, a conversion out of a state pays the
mean value of the conversions seen there, and the effect is the part of the expected value that is lost.

Because the moves are counted from whole paths, the chain's expected visits are the counted ones, and its probability of
a conversion is the share of converting paths.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.sparse import linalg

from fairlead.insights.path_columns import BoolArray, FloatArray, IntArray
from fairlead.insights.path_counts import Transitions

# A dense inverse of this size takes seconds; above it one sparse system per channel is cheaper.
DENSE_STATES = 2048

# Entries of one vector block of the iteration: 8 MiB, and the iteration holds about eight of them.
BLOCK_ENTRIES = 1 << 20

TOLERANCE = 1e-14
MAX_STEPS = 200


@dataclass(frozen=True, eq=False)
class RemovalEffects:
    """What is lost without each channel, as a part of all: ``conversions`` and ``value``, float64 ``(channels,)``.

    0 for a channel that no path has, and everywhere when there is nothing to lose.
    """

    conversions: FloatArray
    value: FloatArray


@dataclass(frozen=True, eq=False)
class Chain:
    """The chain as probabilities, over the ``s`` states that occur.

    ``entry`` ``(s,)`` is how often a path begins in a state, ``visits`` ``(s,)`` how often it is there, both per path;
    ``moves`` is the sparse ``(s, s)`` matrix of moves between different states; ``rewards`` ``(2, s)`` the conversions
    and the value per visit; ``has`` ``(s, channels)`` says which channels a state holds.
    """

    entry: FloatArray
    visits: FloatArray
    moves: sparse.csr_array
    rewards: FloatArray
    has: BoolArray


def removal_effects(counts: Transitions) -> RemovalEffects:
    """Return the removal effect of every channel, to the precision of the linear algebra."""
    effects = np.zeros((2, counts.channels))
    if len(counts.exits):
        chain = chain_of(counts)
        dense = counts.order == 1 and len(chain.entry) <= DENSE_STATES
        lost = lost_dense(chain) if dense else lost_sparse(chain)
        total = chain.rewards @ chain.visits
        seen = chain.has.any(axis=0)
        for row in range(2):
            if total[row] > 0:
                effects[row, seen] = lost[row, seen] / total[row]
    return RemovalEffects(effects[0], effects[1])


def chain_of(counts: Transitions) -> Chain:
    """Turn counts into probabilities. A move from a state to itself changes no outcome and is left out."""
    k, order = counts.channels, counts.order
    runs = counts.moves.keys.copy()
    source, target = np.zeros_like(runs), np.zeros_like(runs)
    for back in range(order + 1):
        digit = runs % k + 1
        runs //= k
        if back < order:
            target += digit * (k + 1) ** back
        if back > 0:
            source += digit * (k + 1) ** (back - 1)
    moved = source != target
    source, target, times = source[moved], target[moved], counts.moves.columns[0][moved]

    states = np.unique(np.concatenate([counts.exits.keys, counts.entries.keys, source, target]))
    s = len(states)
    entries, exits = np.zeros(s), np.zeros((3, s))
    entries[np.searchsorted(states, counts.entries.keys)] = counts.entries.columns[0]
    exits[:, np.searchsorted(states, counts.exits.keys)] = counts.exits.columns
    source, target = np.searchsorted(states, source), np.searchsorted(states, target)
    left = np.bincount(source, times, s) + exits[1]
    paths = exits[1].sum()
    return Chain(
        entries / paths,
        left / paths,
        sparse.csr_array((times / left[source], (source, target)), shape=(s, s)),
        exits[[0, 2]] / left,
        _held(states, k, order),
    )


def _held(states: IntArray, channels: int, order: int) -> BoolArray:
    has = np.zeros((len(states), channels), np.bool_)
    rest = states.copy()
    for _ in range(order):
        digit = rest % (channels + 1)
        rest //= channels + 1
        at = np.flatnonzero(digit)
        has[at, digit[at] - 1] = True
    return has


def lost_dense(chain: Chain) -> FloatArray:
    """Return conversions and value per path lost without each channel, ``(2, channels)``; one state per channel only.

    With ``N = (I - Q)^-1``, a path that is ever in ``c`` is there ``N[c, c]`` times, so the reward it brings is
    ``visits[c] * (N r)[c] / N[c, c]``: one factorisation serves all channels.
    """
    inverse = np.linalg.inv(np.eye(len(chain.entry)) - chain.moves.toarray())
    later = chain.rewards @ inverse.T
    by_state = chain.visits * later / np.diag(inverse)
    return np.asarray(by_state @ chain.has)


def lost_sparse(chain: Chain) -> FloatArray:
    """Return the same for states of several channels: one sparse system per channel, solved in blocks of columns.

    Column ``c`` holds the visits ``y = L (Q^T y + entry)`` with the states of channel ``c`` switched off by ``L``.
    """
    s, channels = chain.has.shape
    back = sparse.csr_array(chain.moves.T)
    total = chain.rewards @ chain.visits
    lost = np.zeros((2, channels))
    seen = np.flatnonzero(chain.has.any(axis=0))
    width = max(BLOCK_ENTRIES // s, 1)
    for begin in range(0, len(seen), width):
        chosen = seen[begin : begin + width]
        alive = (~chain.has[:, chosen]).astype(np.float64)
        visits = _visits_without(back, alive, chain.entry, chain.visits)
        lost[:, chosen] = total[:, None] - chain.rewards @ visits
    # A difference of nearly equal numbers may come out a rounding below zero.
    return np.maximum(lost, 0.0)


def _visits_without(back: sparse.csr_array, alive: FloatArray, entry: FloatArray, guess: FloatArray) -> FloatArray:
    """Solve ``y = alive * (back @ y + entry)`` for each column of ``alive``, ``(s, c)``.

    Stabilised bi-conjugate gradients (H. A. van der Vorst, 1992), all columns in step; a column whose true
    residual is not small at the end is solved directly.
    """
    wanted = alive * entry[:, None]
    y = alive * guess[:, None]
    rest = wanted - y + alive * (back @ y)
    shadow = rest.copy()
    direction = rest.copy()
    before = _dots(shadow, rest)
    goal = TOLERANCE * max(float(entry.max()), np.finfo(np.float64).tiny)
    for _ in range(MAX_STEPS):
        if np.abs(rest).max(initial=0.0) <= goal:
            break
        ahead = direction - alive * (back @ direction)
        alpha = _ratio(before, _dots(shadow, ahead))
        rest -= alpha * ahead
        turn = rest - alive * (back @ rest)
        omega = _ratio(_dots(turn, rest), _dots(turn, turn))
        y += alpha * direction + omega * rest
        rest -= omega * turn
        now = _dots(shadow, rest)
        beta = _ratio(now, before) * _ratio(alpha, omega)
        before = now
        direction -= omega * ahead
        direction *= beta
        direction += rest
    # Near a breakdown the updated residual loses touch with the true one, so what is returned is measured anew. The
    # true one is computed with rounding of its own and may lie a little above the goal.
    return _refined(back, alive, entry, y, goal * 100)


def _refined(back: sparse.csr_array, alive: FloatArray, entry: FloatArray, y: FloatArray, goal: float) -> FloatArray:
    rest = alive * (back @ y + entry[:, None]) - y
    for column in np.flatnonzero(~(np.abs(rest).max(axis=0) <= goal)):
        on = np.flatnonzero(alive[:, column])
        system = sparse.eye_array(len(on), format="csc") - back[on][:, on].tocsc()
        y[:, column] = 0.0
        y[on, column] = linalg.spsolve(system, entry[on])
    return y


def _dots(a: FloatArray, b: FloatArray) -> FloatArray:
    return np.asarray(np.einsum("sc,sc->c", a, b))


def _ratio(a: FloatArray, b: FloatArray) -> npt.NDArray[np.float64]:
    """Divide, and give 0 where the divisor is 0: a column that has arrived stays where it is."""
    return np.divide(a, b, out=np.zeros_like(a), where=b != 0)
