"""What `/metrics` tells of video jobs, read from their directory when it is asked for."""

from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from http_edge.jobs.archive import Archive


class JobMetrics(Collector):
    """Jobs by status, and the room that their files take."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive

    def collect(self) -> Iterator[Metric]:
        """Called by prometheus_client, for each exposition and once at registration."""
        jobs = GaugeMetricFamily(
            "everyframe_video_jobs", "Video jobs that are kept, by status", labels=["status"]
        )
        for status, count in self._archive.catalogue.counts().items():
            jobs.add_metric([status], count)
        yield jobs
        yield GaugeMetricFamily(
            "everyframe_video_jobs_bytes", "Uploads and results on disk", value=self._archive.used_bytes()
        )
