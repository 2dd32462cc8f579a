"""Systems to compare with: in an environment of their own (`bench --peers`), and in TensorFlow."""
