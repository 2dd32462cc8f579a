"""Measure `ALSModel.recommendForAllUsers` to Parquet and print JSON. The peers' Python runs this script.

spark_script.py FOLDER K CORES MEMORY RANK USERS..

FOLDER has `titles.parquet`, and `users-N.parquet` for each number of USERS, with `id: int32` and
`features: list<float>`. The factors are given, not fitted: this measures scoring alone.
"""

import json
import sys
import time

from pyspark import __version__
from pyspark.ml.recommendation import ALSModel
from pyspark.sql import DataFrame, SparkSession

folder, k, cores, memory, rank = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4], int(sys.argv[5])
sizes = [int(size) for size in sys.argv[6:]]
settings = {
    "spark.driver.memory": memory,
    # The JVM gives Spark vector instructions only if asked to.
    "spark.driver.extraJavaOptions": "--add-modules=jdk.incubator.vector",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.host": "127.0.0.1",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.local.dir": folder,
    "spark.sql.shuffle.partitions": str(4 * int(cores)),
    "spark.default.parallelism": str(4 * int(cores)),
}
builder = SparkSession.builder.master(f"local[{cores}]").appName("bench")
for name, value in settings.items():
    builder = builder.config(name, value)
spark = builder.getOrCreate()


def recommend(size: int) -> float:
    """The seconds from the factors on disk to the rows on disk."""
    began = time.perf_counter()
    users, titles = (spark.read.parquet(f"{folder}/{name}.parquet") for name in (f"users-{size}", "titles"))
    jvm_model = spark._jvm.org.apache.spark.ml.recommendation.ALSModel("als", rank, users._jdf, titles._jdf)
    jvm_model.setUserCol("user").setItemCol("title")
    rows: DataFrame = ALSModel(jvm_model).recommendForAllUsers(k)
    rows.write.mode("overwrite").parquet(f"{folder}/out")
    return time.perf_counter() - began


recommend(sizes[0])
taken = [recommend(size) for size in sizes]
written = spark.read.parquet(f"{folder}/out").selectExpr("sum(size(recommendations)) as rows").first()
print(json.dumps({"seconds": taken, "version": __version__, "rows": written["rows"]}))
spark.stop()
