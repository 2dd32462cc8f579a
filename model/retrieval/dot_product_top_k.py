"""The exact top-k of dot products, most of which are computed in bfloat16 only.

The score of a pair is what `exact_scores` computes for that pair alone. To find a user's best candidates, all of them
are first scored approximately, with a proven bound on the error (see `approximate_scores`). A candidate whose
approximate score is more than twice the bound below the k-th highest cannot be among the k best. The others, a little
more than k, are scored exactly and sorted. So the result does not depend on how the approximate scores are computed,
nor on the other users of a block, and a pair has the same score wherever it is computed.

`docs/kernels.md` says what this costs and which alternatives were slower.
"""

from __future__ import annotations

import tensorflow as tf

from model.retrieval.approximate_scores import PreparedCandidates, prepare_users, scan, scan_first
from model.retrieval.blocks import Seen, TopK
from model.retrieval.exact_dot_products import exact_scores, in_batches
from model.retrieval.packed_integers import NO_KEY, decode_keys, sort_keys, unpack, unpack_bits

GROUP_SIZES = (1, 2, 4, 8, 16, 32, 64)
"""The first threshold looks only at the highest of each group of candidates. A chunk is a multiple of the last size."""
MIN_GROUPS_PER_K = 4
"""Groups for each of the k. With more, fewer candidates reach the threshold, but it takes longer to find."""


def dot_product_top_k(
    vectors: tf.Tensor, candidates: PreparedCandidates, seen: Seen, any_seen: tf.Tensor, k: tf.Tensor
) -> TopK:
    """The k best candidates of each user.

    Chunks of candidates are scanned one after the other, with a threshold for each user that at least k candidates
    reach: first from groups of candidates, later from the k best so far. Candidates that reach it wait until there are
    k for each user. Then they are scored exactly and merged into the k best.

    Args:
      vectors: `float32[B, D]`, of the users; the last component is 1.
      candidates: from `prepare_candidates`.
      seen: what the users must not get.
      any_seen: `bool`, False only if no user of the call has seen anything. It must be the same for all blocks, or the
        scan is compiled once more.
      k: `int32`, at least 1.

    Returns:
      Scores and indices, `[B, k]` each. The score is -inf where fewer than k candidates are left.
    """
    chunks, chunk = tf.shape(candidates.rounded)[0], tf.shape(candidates.rounded)[1]
    block = tf.shape(vectors)[0]
    padded, centre, error = prepare_users(vectors, candidates.centre, candidates.norms)

    def mask(number: tf.Tensor) -> tf.Tensor:
        return tf.cond(any_seen, lambda: seen.mask(number * chunk, chunk), lambda: tf.zeros([1, 1], tf.bfloat16))

    def merge(keys: tf.Tensor, waiting: tf.Tensor) -> tf.Tensor:
        # One chunk alone yields pairs in the order of users already.
        waiting = tf.cond(chunks > 1, lambda: tf.sort(waiting), lambda: waiting)
        users, index = unpack(waiting)
        scores = in_batches(
            lambda user, title: exact_scores(padded, user, candidates.vectors, title), users, index, full=True
        )
        splits = tf.searchsorted(users, tf.range(block + 1))
        most = tf.reduce_max(splits[1:] - splits[:-1])
        width = tf.maximum(most, k - tf.shape(keys)[1])
        found = tf.raw_ops.RaggedTensorToTensor(
            shape=tf.stack([block, width]),
            values=sort_keys(scores, index),
            default_value=tf.constant(NO_KEY, tf.int64),
            row_partition_tensors=[tf.cast(splits, tf.int64)],
            row_partition_types=["ROW_SPLITS"],
        )
        keys = tf.concat([keys, found], axis=1)
        width = tf.shape(keys)[1]
        # If there are few more than k, sorting all of them is faster than the heap that picks k.
        return tf.math.top_k(keys, tf.where(width < 2 * k, width, k)).values[:, :k]

    def step(
        number: tf.Tensor, keys: tf.Tensor, waiting: tf.Tensor, threshold: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
        def merged() -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
            better = merge(keys, waiting)
            last, _ = decode_keys(better[:, -1])
            return better, waiting[:0], last - centre - error

        keys, waiting, threshold = tf.cond(tf.size(waiting) >= block * k, merged, lambda: (keys, waiting, threshold))
        words = scan(vectors, candidates.rounded[number], mask(number), threshold)
        return number + 1, keys, tf.concat([waiting, unpack_bits(words, number * chunk)], axis=0), threshold

    sizes = tf.constant(GROUP_SIZES)
    group = tf.reduce_max(tf.where(sizes * MIN_GROUPS_PER_K * k <= chunk, sizes, 1))
    words, threshold = scan_first(vectors, candidates.rounded[0], mask(tf.constant(0)), error, group, k)
    _, keys, waiting, _ = tf.while_loop(
        lambda number, *_: number < chunks,
        step,
        (tf.constant(1), tf.zeros([block, 0], tf.int64), unpack_bits(words, 0), threshold),
        shape_invariants=(
            tf.TensorShape([]),
            tf.TensorShape([None, None]),
            tf.TensorShape([None]),
            tf.TensorShape([None]),
        ),
        parallel_iterations=1,
    )
    return decode_keys(merge(keys, waiting))
