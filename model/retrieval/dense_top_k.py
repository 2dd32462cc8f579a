"""The best of a user's candidates by scoring few of them: those whose upper bounds are highest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from model.retrieval.blocks import Seen, Shape, all_scores, without
from model.retrieval.dense_bounds import Spread, upper_bound

SEARCHED_IN_KEPT = 64
"""Candidates for which one more is kept to be scored; where there are more, more lie within a bound's excess."""


class Narrowed(NamedTuple):
    """What came of it for a block of users."""

    score: tf.Tensor
    """`float32[block, depth]`, the best of those kept."""
    index: tf.Tensor
    """`int32[block, depth]`, their positions in the candidates."""
    proven: tf.Tensor
    """`bool[block]`, whether these are the best of all, equal scores in order of position; otherwise they say nothing.
    """


Best = tuple[tf.Tensor, tf.Tensor]
"""Scores and positions, as a `BlockChooser` returns them."""
Narrower = Callable[[tf.Tensor, Seen], Narrowed]
"""Halves of users of the first layer, `float32[block, H1]`, and what they have seen."""


def kept(shape: Shape, multiple: int) -> tf.Tensor:
    """How many candidates of each user are scored: a multiple, at least `shape.depth`."""
    wanted = 2 * shape.depth + shape.count // SEARCHED_IN_KEPT
    # Rounded to the nearest, but enough: half a multiple at most is taken off, which is less than the depth or one.
    return tf.maximum((shape.depth + multiple - 1) // multiple, (wanted + multiple // 2) // multiple) * multiple


def narrower(
    titles_half: tf.Tensor,
    spread: Spread,
    score: Callable[[tf.Tensor], tf.Tensor],
    layers: Sequence[tf.Tensor],
    shape: Shape,
    multiple: int,
) -> Narrower:
    """What narrows candidates down; for `4 * kept <= count` and a depth of at least 1.

    Args:
      titles_half: `float32[M, H1]`, the candidates' halves of the first layer, padded to whole chunks.
      spread: of those that are no padding.
      score: the first layer before its activation, `float32[P, H1]` -> `float32[P]`, to the bit what scoring all
        candidates yields; P is a multiple of `multiple`.
      layers: kernel and bias of the second layer and of the third.
      shape: of the call.
      multiple: of how many candidates are kept.
    """
    keep = kept(shape, multiple)

    def narrow(users_half: tf.Tensor, seen: Seen) -> Narrowed:
        slopes, constants = _upper_bound(users_half, spread, *layers)

        def bound_chunk(start: tf.Tensor) -> tf.Tensor:
            return _bounds(users_half, slopes, constants, titles_half[start : start + shape.chunk])

        bounds = without(seen, all_scores(bound_chunk, shape))
        highest = tf.math.top_k(bounds, keep + 1)
        # In order of position, so that top_k takes the lower position first of equal scores.
        places = tf.sort(highest.indices[:, :keep], axis=1)
        hidden = users_half[:, tf.newaxis] + tf.gather(titles_half, places)
        scores = tf.reshape(score(tf.reshape(hidden, [-1, titles_half.shape[1]])), tf.shape(places))
        scores = tf.where(tf.gather(bounds, places, batch_dims=1) == -np.inf, -np.inf, scores)
        best = tf.math.top_k(scores, shape.depth)
        left_out, worst = highest.values[:, keep], best.values[:, -1]
        # A bound that is not a number proves nothing; where all that is left out was seen, nothing is to prove.
        proven = tf.logical_or(left_out < worst, left_out == -np.inf)
        return Narrowed(best.values, tf.gather(places, best.indices, batch_dims=1), proven)

    return narrow


def complete(found: Narrowed, best_of_all: Callable[[tf.Tensor], Best]) -> Best:
    """Scores and positions as a `BlockChooser` returns them.

    Args:
      found: of a block of users.
      best_of_all: a user's place in the block, `int32` -> scores and positions, `[1, depth]`, of the best of all
        candidates; called for those of whom `found` proves nothing.
    """
    unproven = tf.cast(tf.where(tf.logical_not(found.proven))[:, 0], tf.int32)

    def replace(number: tf.Tensor, score: tf.Tensor, index: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        place = [unproven[number : number + 1]]
        better = best_of_all(unproven[number])
        return (
            number + 1,
            tf.tensor_scatter_nd_update(score, place, better[0]),
            tf.tensor_scatter_nd_update(index, place, better[1]),
        )

    state = (tf.constant(0), found.score, found.index)
    return tf.while_loop(lambda number, *_: number < tf.size(unproven), replace, state, parallel_iterations=1)[1:]


_upper_bound = tf.function(upper_bound, jit_compile=True)


@tf.function(jit_compile=True)
def _bounds(users_half: tf.Tensor, slopes: tf.Tensor, constants: tf.Tensor, titles_half: tf.Tensor) -> tf.Tensor:
    """`float32[B, H1]` twice, `float32[B]` and `float32[M, H1]` -> `float32[B, M]`, the bounds by `upper_bound`.

    A user at a time, the activation written out and multiplied by the slopes: a tenth of the time of a score, where
    one loop over both takes a sixth (titles in columns) or a quarter (in rows), and four users at a time a sixth.
    """

    def of_user(user: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
        half, slope = user
        return tf.linalg.matvec(tf.nn.relu(half + titles_half), slope)

    return tf.map_fn(of_user, (users_half, slopes), fn_output_signature=tf.float32) + constants[:, tf.newaxis]
