"""Reads OpenMetrics from standard input with the parser of Prometheus' Python client, and prints every exemplar."""

import sys

from prometheus_client.openmetrics.parser import text_string_to_metric_families

for family in text_string_to_metric_families(sys.stdin.read()):
    for sample in family.samples:
        if sample.exemplar:
            print(sample.name, sample.labels["flow"], sample.exemplar.labels["trace_id"], sample.exemplar.labels["span_id"])
