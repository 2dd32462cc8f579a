"""Portable engines on this machine: Flink as a session cluster and Prism, with Python workers beside them.

They run the very pipelines that DirectRunner runs, over the interfaces that a cluster uses: a job server, workers in
processes of their own, data by gRPC. Nothing here is imported by a job or a worker.
"""
