"""Other systems, in an environment of their own (`bench --peers`), and in TensorFlow."""
