"""The nightly run after training: prepare, score, audit, publish. Each is a Beam pipeline or a step after one."""

import logging

# Where Google's libraries are not installed, Beam says so through the root logger when it is imported. Nobody who runs
# on one machine needs them. A package's `__init__` is the one place that is certain to run before that.
logging.getLogger().addFilter(lambda record: not record.getMessage().startswith("apitools not found"))
