"""Measure `implicit.cpu.topk` on vectors and print JSON. The peers' Python runs this script.

implicit_script.py USERS.npy TITLES.npy K THREADS SECONDS ANSWERS.npy
"""

import json
import statistics
import sys
import time
from importlib.metadata import version

import numpy as np
from implicit.cpu.topk import topk

users, titles = (np.load(path) for path in sys.argv[1:3])
k, threads, seconds = int(sys.argv[3]), int(sys.argv[4]), float(sys.argv[5])
found, _ = topk(titles, users, k, num_threads=threads)
np.save(sys.argv[6], found[:64])
taken: list[float] = []
while sum(taken) < seconds or len(taken) < 3:
    began = time.perf_counter()
    topk(titles, users, k, num_threads=threads)
    taken.append(time.perf_counter() - began)
rate = len(users) * len(titles) / statistics.median(taken)
print(json.dumps({"pairs_a_second": rate, "version": version("implicit")}))
