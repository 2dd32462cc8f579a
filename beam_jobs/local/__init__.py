"""The whole flow on one machine, a process for each stage."""
