"""Exactly the k best by products of vectors, most of which are computed in half precision only.

A pair's score is what `exact_scores` makes of that pair alone. To find a user's best, all candidates are scored
approximately, by a matrix product of bfloat16, with a bound on how far that can be from the exact score. What is
further than twice the bound below the kth highest approximate score is not among the k best; the rest, a little more
than k candidates, is scored exactly and sorted. So the answer does not depend on the kernel of the product, nor on
what stands beside a pair in a block, and the score of a pair has the same bits wherever it is computed.

Bounds that let most of the work be skipped are known for exact search (Teflioudi et al., LEMP, 2015; Li et al.,
FEXIPRO, 2017), where norms differ much or few components tell most; here the bound is that of rounding, which holds
for any vectors. What was tried on a core of Zen 4 with AVX-512, in ns a pair at 32 factors, 20,000 candidates and
k 100, of which the whole takes 2.4 to 3.2, and 7.2 to 8.2 when all float32 scores went through `tf.math.top_k`:

- the product: float32 0.73 to 0.93; bfloat16 under XLA, summed and given in float32, 0.43; int8 under XLA 0.94;
- the k highest by `tf.math.top_k`: of all scores 5.2, of the highest of 625 groups 0.88, and their kth by
  `NthElement` 0.25; something just below it, by halving a range under XLA, 0.15;
- what is above it: by gathering all members of the groups that reach it 1.6; by a bit a candidate 0.1, and 0.3 for
  finding the bits that are set;
- parts of a block small enough for their scores to stay in the second-level cache: the product loses more than is won;
- a mask of bytes keeps XLA from vectorising, 1.2 more; one of floats costs 0.1, half of it in half precision.

At 97 factors, sorting what was found takes 0.8 us a user; a bitonic network does it in 0.65, and takes more than a
second to compile. What the bound needs of a user takes 0.6 us by TensorFlow's operations and 0.2 compiled. With 1,664
candidates, blocks of 1,024 users take a twentieth less than those of 512, and larger ones no less; places are gathered
as one number in 0.12 us a user, as pairs in 0.3.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from model.retrieval.blocks import Seen
from model.retrieval.exact_dot_products import add_products, exact_scores, in_steps, widen

WORD = 32
"""Candidates that a word has bits for."""
GROUP_SIZES = (1, 2, 4, 8, 16, 32, 64)
"""Candidates of which only the highest is looked at to find a floor; a chunk is a multiple of the last."""
GROUPS_A_PLACE = 4
"""Groups for each of the k, at least: with more, fewer candidates are above the floor, and it takes longer to find."""
HALVINGS = 10
"""Steps of the search for the floor, each of which halves the range that it is in."""

_ABSENT = -3.0e38
"""In place of the bias of what is not to be found: finite, as infinity times zero is not a number."""
_LOWEST = -1.0e38
"""Above that and below every score."""
_NOTHING = tf.int64.min
"""The key of no candidate."""
_LAST = (1 << 31) - 1


class Candidates(NamedTuple):
    """M candidates, whole and in half precision, and what bounds the error of that.

    In half precision their mean is taken off, which moves a user's scores together and so changes no order.
    """

    vectors: tf.Tensor
    """`float32[M, D + zeros]`, as `widen` made them."""
    halves: tf.Tensor
    """`bfloat16[chunks, M / chunks, D + 1]`, the last component in two parts."""
    centre: tf.Tensor
    """`float32[D]`, what was taken off."""
    norms: tf.Tensor
    """`float32[4]`, the longest, centred: of all components but the last, and the last; likewise of what was lost in
    half precision."""


def halve(vectors: tf.Tensor, findable: tf.Tensor, chunk: tf.Tensor) -> Candidates:
    """Candidates `float32[M, D]`, M a multiple of `chunk`, made ready; only where `findable: bool[M]` are they found.

    The last component is where biases are, larger than the others, times 1; it is kept twice as precise.
    """
    uses = tf.cast(findable, tf.float32)
    centre = tf.linalg.matvec(vectors, uses / tf.maximum(1.0, tf.reduce_sum(uses)), transpose_a=True)

    def halve_chunk(number: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        here = slice(number * chunk, (number + 1) * chunk)
        found = findable[here, None]
        centred = tf.where(found, vectors[here] - centre, 0.0)
        half = tf.cast(centred, tf.bfloat16)
        lost = centred - tf.cast(half, tf.float32)
        lower = tf.cast(lost[:, -1:], tf.bfloat16)
        lost_of_last = lost[:, -1:] - tf.cast(lower, tf.float32)
        norms = tf.stack(
            [
                tf.reduce_max(tf.norm(rows, axis=1))
                for rows in (centred[:, :-1], centred[:, -1:], lost[:, :-1], lost_of_last)
            ]
        )
        last = tf.where(found, half[:, -1:], tf.cast(_ABSENT, tf.bfloat16))
        return tf.concat([half[:, :-1], last, lower], axis=1), norms

    halves, norms = tf.map_fn(
        halve_chunk,
        tf.range(tf.size(findable) // chunk),
        fn_output_signature=(tf.bfloat16, tf.float32),
        parallel_iterations=1,
    )
    return Candidates(widen(vectors), halves, centre, tf.reduce_max(norms, axis=0))


def best(
    vectors: tf.Tensor, candidates: Candidates, seen: Seen, any_seen: tf.Tensor, k: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """The k best candidates of each user.

    Chunks of candidates are scanned in turn, with a floor for each user that k candidates are known to reach: at first
    by the highest of groups of candidates, later by the k best so far. What is above the floor waits, and is scored
    exactly and merged into the k best when k a user have gathered.

    Args:
      vectors: `float32[B, D]`, the users', of which the last component is 1.
      candidates: what `halve` made of them.
      seen: what they must not get.
      any_seen: `bool`, False only if that is nothing; the same for all blocks, or the scan is compiled once more.
      k: `int32`, at least 1.

    Returns:
      Scores `float32[B, k]`, falling, and positions `int32[B, k]`, rising where scores are equal; the score is -inf
      where fewer than k are left.
    """
    chunks, chunk = tf.shape(candidates.halves)[0], tf.shape(candidates.halves)[1]
    block = tf.shape(vectors)[0]
    wide, centre, error = _measure(vectors, candidates.centre, candidates.norms)

    def mask(number: tf.Tensor) -> tf.Tensor:
        return tf.cond(any_seen, lambda: seen.mask(number * chunk, chunk), lambda: tf.zeros([1, 1], tf.bfloat16))

    def merge(keys: tf.Tensor, waiting: tf.Tensor) -> tf.Tensor:
        # What one chunk has given is in order of users already.
        waiting = tf.cond(chunks > 1, lambda: tf.sort(waiting), lambda: waiting)
        places, positions = _part(waiting)
        scores = in_steps(
            lambda users, titles: exact_scores(wide, users, candidates.vectors, titles), places, positions, filled=True
        )
        splits = tf.searchsorted(places, tf.range(block + 1))
        most = tf.reduce_max(splits[1:] - splits[:-1])
        width = tf.maximum(most, k - tf.shape(keys)[1])
        found = tf.raw_ops.RaggedTensorToTensor(
            shape=tf.stack([block, width]),
            values=_keys(scores, positions),
            default_value=tf.constant(_NOTHING, tf.int64),
            row_partition_tensors=[tf.cast(splits, tf.int64)],
            row_partition_types=["ROW_SPLITS"],
        )
        keys = tf.concat([keys, found], axis=1)
        width = tf.shape(keys)[1]
        # Sorting a little more than k is faster than the heap that picks k of them.
        return tf.math.top_k(keys, tf.where(width < 2 * k, width, k)).values[:, :k]

    def step(
        number: tf.Tensor, keys: tf.Tensor, waiting: tf.Tensor, floor: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
        def merged() -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
            better = merge(keys, waiting)
            last, _ = _scores(better[:, -1])
            return better, waiting[:0], last - centre - error

        keys, waiting, floor = tf.cond(tf.size(waiting) >= block * k, merged, lambda: (keys, waiting, floor))
        words = _scan(vectors, candidates.halves[number], mask(number), floor)
        return number + 1, keys, tf.concat([waiting, _places(words, number * chunk)], axis=0), floor

    sizes = tf.constant(GROUP_SIZES)
    size = tf.reduce_max(tf.where(sizes * GROUPS_A_PLACE * k <= chunk, sizes, 1))
    words, floor = _scan_first(vectors, candidates.halves[0], mask(tf.constant(0)), error, size, k)
    _, keys, waiting, _ = tf.while_loop(
        lambda number, *_: number < chunks,
        step,
        (tf.constant(1), tf.zeros([block, 0], tf.int64), _places(words, 0), floor),
        shape_invariants=(
            tf.TensorShape([]),
            tf.TensorShape([None, None]),
            tf.TensorShape([None]),
            tf.TensorShape([None]),
        ),
        parallel_iterations=1,
    )
    return _scores(merge(keys, waiting))


@tf.function(jit_compile=True)
def _scan_first(
    vectors: tf.Tensor, halves: tf.Tensor, mask: tf.Tensor, error: tf.Tensor, size: tf.Tensor, k: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """As `_scan`, with floors, `float32[B]`, that it finds by groups of `size` candidates and returns."""
    scores = _approximate(vectors, halves, mask)
    floor = _floor(scores, size, k) - 2 * error
    return _words(scores, floor), floor


@tf.function(jit_compile=True)
def _scan(vectors: tf.Tensor, halves: tf.Tensor, mask: tf.Tensor, floor: tf.Tensor) -> tf.Tensor:
    """A bit a candidate, set where its score reaches the floor.

    Args:
      vectors: `float32[B, D]`
      halves: `bfloat16[C, D + 1]`
      mask: `bfloat16[B, C]`, -inf for what has been seen and else 0, or `bfloat16[1, 1]`.
      floor: `float32[B]`

    Returns:
      `int32[B, C / WORD]`, bit i of word j for candidate i C / WORD + j.
    """
    return _words(_approximate(vectors, halves, mask), floor)


def _approximate(vectors: tf.Tensor, halves: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
    """Scores `float32[B, C]`, summed in float32."""
    vectors = tf.cast(tf.concat([vectors, vectors[:, -1:]], axis=1), tf.bfloat16)
    return tf.matmul(vectors, halves, transpose_b=True, output_type=tf.float32) + tf.cast(mask, tf.float32)


@tf.function(jit_compile=True)
def _measure(vectors: tf.Tensor, centre: tf.Tensor, norms: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """The vectors of users, `float32[B, D]`, widened; what centring took from their scores, `float32[B]`; `_error`."""
    wide = widen(vectors)
    return wide, add_products(wide * widen(centre[None])), _error(vectors, centre, norms)


def _error(vectors: tf.Tensor, centre: tf.Tensor, norms: tf.Tensor) -> tf.Tensor:
    """How far an approximate score and the exact one less what centring took can be apart: `float32[B]`.

    What half precision lost is known, and its products are bounded by the norms (Cauchy-Schwarz). A sum of n products
    in float32, in any order, is off by at most about n 2^-24 of the sum of their magnitudes (Higham, Accuracy and
    Stability of Numerical Algorithms, 3.1), and that is at most the product of the norms.
    """
    others, last, lost_of_others, lost_of_last = tf.unstack(tf.ensure_shape(norms, [4]))
    # By its bits, as a compiler leaves out a conversion and the one back.
    bits = tf.cast(tf.bitcast(tf.cast(vectors, tf.bfloat16), tf.uint16), tf.int32)
    half = tf.bitcast(tf.bitwise.left_shift(bits, 16), tf.float32)
    lost, half_norm = _norms(vectors - half), _norms(half[:, :-1])
    halving = lost * others + half_norm * lost_of_others + lost_of_last
    # The scores, where the last component, 1, is there twice, the exact ones, what centring took, and the floor that is
    # made of these; twice over. No vector of a candidate is longer in half precision than 1.01 times its length.
    longest = others + last
    lengths = 3 * longest + 4 * (longest + tf.norm(centre))
    summing = tf.cast(tf.shape(vectors)[1] + 16, tf.float32) * 2.0**-23 * (half_norm + lost + 2) * lengths
    # The last term is for products so small that they are taken as 0.
    return 1.01 * (halving + summing) + 1e-30


def _norms(rows: tf.Tensor) -> tf.Tensor:
    """`float32[B, D]` -> `float32[B]`; added up in lanes, which compiled takes half of the time."""
    return tf.sqrt(add_products(tf.square(widen(rows))))


def _floor(scores: tf.Tensor, size: tf.Tensor, k: tf.Tensor) -> tf.Tensor:
    """What k of each user's `float32[B, C]` reach, and not many more: `float32[B]`, `_LOWEST` if there are fewer.

    It is near the kth highest of the highest of groups.
    """
    # Groups are of equal remainders, so that the highest are found for many side by side.
    highest = tf.reduce_max(tf.reshape(scores, [tf.shape(scores)[0], size, -1]), axis=1)
    real = highest > _LOWEST

    def reach(floor: tf.Tensor) -> tf.Tensor:
        return tf.reduce_sum(tf.cast(highest >= floor[:, None], tf.int32), axis=1) >= k

    def halve_range(number: tf.Tensor, low: tf.Tensor, high: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        middle = low + (high - low) / 2
        enough = reach(middle)
        return number + 1, tf.where(enough, middle, low), tf.where(enough, high, middle)

    low = tf.reduce_min(tf.where(real, highest, np.inf), axis=1)
    _, low, _ = tf.while_loop(
        lambda number, *_: number < HALVINGS, halve_range, (0, low, tf.reduce_max(highest, axis=1))
    )
    return tf.where(reach(low), low, _LOWEST)


def _places(words: tf.Tensor, first: tf.Tensor | int) -> tf.Tensor:
    """The users, rising, and the candidates of the bits that `_scan` set: `int64[N]`, as `_join` makes them.

    Args:
      words: what it returned.
      first: position of the first of these candidates.
    """
    stride = tf.shape(words)[1]
    at = tf.where(words)
    word = tf.gather_nd(words, at)
    # An entry for each bit of each word: the number of the word, and how many of its bits are below.
    start = WORD * tf.range(tf.size(word))
    bits = tf.cast(tf.raw_ops.PopulationCount(x=word), tf.int32)
    entries = tf.raw_ops.RaggedRange(starts=start, limits=start + bits, deltas=tf.constant(1)).rt_dense_values
    number, below = tf.bitwise.right_shift(entries, 5), entries & (WORD - 1)
    _, word = tf.while_loop(
        lambda cleared, _: tf.reduce_any(below > cleared),
        lambda cleared, word: (cleared + 1, tf.where(below > cleared, word & (word - 1), word)),
        (tf.constant(0), tf.gather(word, number)),
        parallel_iterations=1,
    )
    bit = tf.cast(tf.raw_ops.PopulationCount(x=(word & -word) - 1), tf.int32)
    # Joined before they are gathered, which takes a third of gathering pairs.
    return tf.gather(_join(at[:, 0], at[:, 1]), number) + tf.cast(bit * stride + first, tf.int64)


def _words(scores: tf.Tensor, floor: tf.Tensor) -> tf.Tensor:
    scores = tf.reshape(scores, [tf.shape(scores)[0], WORD, -1])
    reached = tf.cast(scores >= tf.maximum(floor, _LOWEST)[:, None, None], tf.int32)
    return tf.reduce_sum(tf.bitwise.left_shift(reached, tf.range(WORD)[:, None]), axis=1)


def _keys(scores: tf.Tensor, positions: tf.Tensor) -> tf.Tensor:
    """`float32[N]`, `int32[N]` -> `int64[N]`, higher for a higher score, and among equal ones for a lower position."""
    # One zero, where floats have two.
    bits = tf.bitcast(tf.where(scores == 0, 0.0, scores), tf.int32)
    return _join(_flip(bits), _LAST - positions)


def _scores(keys: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Scores and positions of keys, -inf of `_NOTHING`."""
    upper, lower = _part(keys)
    scores = tf.bitcast(_flip(upper), tf.float32)
    return tf.where(keys == _NOTHING, -np.inf, scores), _LAST - lower


def _join(upper: tf.Tensor, lower: tf.Tensor) -> tf.Tensor:
    """Two `int32`, the second not negative, as one `int64` in order of the first and then the second."""
    return tf.bitwise.left_shift(tf.cast(upper, tf.int64), 32) | tf.cast(lower, tf.int64)


def _part(joined: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """What `_join` joined."""
    return tf.cast(tf.bitwise.right_shift(joined, 32), tf.int32), tf.cast(joined & _LAST, tf.int32)


def _flip(bits: tf.Tensor) -> tf.Tensor:
    """The bits of floats as whole numbers in the same order, and back."""
    return bits ^ (tf.bitwise.right_shift(bits, 31) & _LAST)
