"""Train a TensorFlow Recommenders ranking model on MovieLens-shaped data and export it as a SavedModel."""

import os

# TensorFlow Recommenders is written for Keras 2 and picks it by this variable, which TensorFlow reads when it is first
# imported. A package's `__init__` is the one place that is certain to run before that. `setdefault`: a caller who has
# decided otherwise is not overruled.
os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
