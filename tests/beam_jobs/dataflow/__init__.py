"""Dataflow without Google: an emulated object store, a stub of the jobs API, and workers in a clean environment."""
