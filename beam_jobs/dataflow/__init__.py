"""Submission to Dataflow: flags, machines, package, template, images."""
