"""The exact top-k of dense layers from a shortlist: score only the candidates with the highest upper bounds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from model.retrieval.blocks import SearchSizes, Seen, TopK, mask_seen, score_all
from model.retrieval.dense_bounds import Enclosure, upper_bound

CANDIDATES_PER_EXTRA = 64
"""The shortlist grows by one for this many candidates, because more candidates then lie just below the k best."""


class ShortlistTopK(NamedTuple):
    """The best of the shortlists of a block of users."""

    score: tf.Tensor
    """`float32[block, depth]`"""
    index: tf.Tensor
    """`int32[block, depth]`, of the candidates."""
    proven: tf.Tensor
    """`bool[block]`, whether these are the best of all candidates, in the promised order. If not, they say nothing."""


ShortlistSearch = Callable[[tf.Tensor, Seen], ShortlistTopK]
"""Users' halves of the first layer, `float32[block, H1]`, and what they have seen -> the best of their shortlists."""


def shortlist_size(sizes: SearchSizes, multiple: int) -> tf.Tensor:
    """Candidates to score for each user: a multiple of `multiple`, and at least `sizes.depth`."""
    wanted = 2 * sizes.depth + sizes.count // CANDIDATES_PER_EXTRA
    # Rounded to the nearest multiple. That takes off at most half a multiple, so the maximum keeps it large enough.
    return tf.maximum((sizes.depth + multiple - 1) // multiple, (wanted + multiple // 2) // multiple) * multiple


def shortlist_search(
    titles_half: tf.Tensor,
    candidates: Enclosure,
    score: Callable[[tf.Tensor], tf.Tensor],
    layers: Sequence[tf.Tensor],
    sizes: SearchSizes,
    multiple: int,
) -> ShortlistSearch:
    """A function that searches the shortlists of a block of users.

    It needs more candidates than the shortlist holds, and a depth of at least 1.

    Args:
      titles_half: `float32[M, H1]`, the candidates' halves of the first layer, padded to whole chunks.
      candidates: what encloses those of them that are not padding.
      score: the first layer before its activation, `float32[P, H1]` -> `float32[P]`, to the same bits as scoring all
        candidates; P is a multiple of `multiple`.
      layers: kernel and bias of the second layer and of the third.
      sizes: of the search.
      multiple: the size of the shortlist is a multiple of this.
    """
    size = shortlist_size(sizes, multiple)

    def search(users_half: tf.Tensor, seen: Seen) -> ShortlistTopK:
        slopes, constants = _upper_bound(users_half, candidates, *layers)

        def bound_chunk(start: tf.Tensor) -> tf.Tensor:
            return _bounds(users_half, slopes, constants, titles_half[start : start + sizes.chunk])

        bounds = mask_seen(score_all(bound_chunk, sizes), seen)
        highest = tf.math.top_k(bounds, size + 1)
        # Sorted by index, so that top_k takes the lower index first of equal scores.
        shortlist = tf.sort(highest.indices[:, :size], axis=1)
        hidden = users_half[:, tf.newaxis] + tf.gather(titles_half, shortlist)
        scores = tf.reshape(score(tf.reshape(hidden, [-1, titles_half.shape[1]])), tf.shape(shortlist))
        scores = tf.where(tf.gather(bounds, shortlist, batch_dims=1) == -np.inf, -np.inf, scores)
        best = tf.math.top_k(scores, sizes.depth)
        left_out, worst = highest.values[:, size], best.values[:, -1]
        # A bound that is NaN proves nothing. If everything left out was seen, there is nothing to prove.
        proven = tf.logical_or(left_out < worst, left_out == -np.inf)
        return ShortlistTopK(best.values, tf.gather(shortlist, best.indices, batch_dims=1), proven)

    return search


def replace_unproven(found: ShortlistTopK, search_all: Callable[[tf.Tensor], TopK]) -> TopK:
    """The best candidates of a block of users, from all candidates where the shortlist proves nothing.

    Args:
      found: the best of the shortlists.
      search_all: the number of a user in the block, `int32` -> the user's `TopK` of all candidates, `[1, depth]` each.
    """
    unproven = tf.cast(tf.where(tf.logical_not(found.proven))[:, 0], tf.int32)

    def replace(number: tf.Tensor, score: tf.Tensor, index: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        user = [unproven[number : number + 1]]
        best = search_all(unproven[number])
        return (
            number + 1,
            tf.tensor_scatter_nd_update(score, user, best[0]),
            tf.tensor_scatter_nd_update(index, user, best[1]),
        )

    state = (tf.constant(0), found.score, found.index)
    return tf.while_loop(lambda number, *_: number < tf.size(unproven), replace, state, parallel_iterations=1)[1:]


_upper_bound = tf.function(upper_bound, jit_compile=True)


@tf.function(jit_compile=True)
def _bounds(users_half: tf.Tensor, slopes: tf.Tensor, constants: tf.Tensor, titles_half: tf.Tensor) -> tf.Tensor:
    """`float32[B, H1]` twice, `float32[B]` and `float32[M, H1]` -> the bounds of `upper_bound`, `float32[B, M]`.

    One user at a time, with the activation materialised: faster than one fused loop, or several users at a time.
    """

    def of_user(user: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
        half, slope = user
        return tf.linalg.matvec(tf.nn.relu(half + titles_half), slope)

    return tf.map_fn(of_user, (users_half, slopes), fn_output_signature=tf.float32) + constants[:, tf.newaxis]
