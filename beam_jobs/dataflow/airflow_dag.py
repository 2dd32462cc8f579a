"""The nightly run in Airflow or Cloud Composer. Copy this file to your DAGs and set the Variable `nightrank`.

The Variable is a JSON object with `project`, `region`, `template` (address of the Flex template's specification),
`image` (of the template), `model`, `users`, `candidates`, `output`, `service_account_email` and `subnetwork`.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from airflow.models.dag import DAG
from airflow.providers.google.cloud.operators.dataflow import DataflowStartFlexTemplateOperator

SETTING = "{{ var.json.nightrank.%s }}"

LAUNCH = {
    "jobName": "nightrank-score-{{ ds_nodash }}",
    "containerSpecGcsPath": SETTING % "template",
    "parameters": {
        "model": SETTING % "model",
        "users": SETTING % "users",
        "candidates": SETTING % "candidates",
        "output": SETTING % "output",
        # Not the day of execution: a run that is repeated later must replace the same partition.
        "run_date": "{{ data_interval_end | ds }}",
        "top_n": "20",
        "number_of_worker_harness_threads": "2",
    },
    "environment": {
        "machineType": "n2-standard-4",
        "maxWorkers": 50,
        "sdkContainerImage": SETTING % "image",
        "serviceAccountEmail": SETTING % "service_account_email",
        "subnetwork": SETTING % "subnetwork",
        "ipConfiguration": "WORKER_IP_PRIVATE",
        "tempLocation": SETTING % "output" + "/dataflow/temp",
        "stagingLocation": SETTING % "output" + "/dataflow/staging",
        "additionalUserLabels": {"job": "nightrank"},
    },
}

with DAG(
    dag_id="nightrank",
    description="Score every user against every candidate, audit, publish.",
    schedule="0 2 * * *",
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    catchup=False,
    # Two runs at once would replace each other's partition.
    max_active_runs=1,
    default_args={"retries": 2, "retry_delay": timedelta(minutes=10)},
):
    DataflowStartFlexTemplateOperator(
        task_id="score",
        project_id=SETTING % "project",
        location=SETTING % "region",
        body={"launchParameter": LAUNCH},
        append_job_name=True,
        deferrable=True,
    )
