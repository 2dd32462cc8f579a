"""Portable engines on this machine: Flink as a session cluster and Prism, with Python workers beside them.

They run the same pipelines as DirectRunner, but through the interfaces that a cluster uses: a job server, workers in
processes of their own, and data over gRPC. No job imports this package.
"""
