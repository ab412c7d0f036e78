"""Measures the floors: each is a program in floors/."""

import json
import subprocess
import sys
from collections.abc import Callable, Mapping

from tests.benchmarks.pipelines import SECRET
from tests.benchmarks.processes import ROOT, cpu_seconds, run_json, start_service, stop
from tests.benchmarks.site import Site

Values = dict[str, float]


def web(site: Site) -> Values:
    """A bare Litestar route."""
    service, port = start_service("tests.benchmarks.floors.web", SECRET, env=site.env)
    try:
        site.load("post", 300, 32, port=port)
        return {"floor.web": site.load("flood", 1.5 if site.quick else 3, 32, port=port)["per_second"]}
    finally:
        stop(service)


def commit(site: Site) -> Values:
    """One INSERT after the other."""
    report = run_json("tests.benchmarks.floors.commit", site.database_url, 300, env=site.env)
    return {
        "floor.commit": report["p50_ms"],
        "floor.calm_p50": report["calm_p50_ms"],
        "floor.calm_p99": report["calm_p99_ms"],
    }


def jobs(site: Site) -> Values:
    """SAQ."""
    report = run_json("tests.benchmarks.floors.jobs", site.redis_url, 1000 if site.quick else 2000, env=site.env)
    return {"floor.jobs": report["per_second"]}


def posts(site: Site) -> Values:
    """The steps' HTTP client."""
    report = run_json("tests.benchmarks.floors.posts", site.sink_port, 2000 if site.quick else 4000, env=site.env)
    return {"floor.posts": report["per_second"], "floor.post": report["alone_ms"]}


def inserts(site: Site) -> Values:
    """A statement per request."""
    return {"floor.insert_cpu": insert_cpu(site, "row"), "floor.rows_cpu": insert_cpu(site, "rows")}


def insert_cpu(site: Site, kind: str) -> float:
    """PostgreSQL's CPU milliseconds per request between the two moments that the program marks."""
    count = 1500 if site.quick else 3000
    with subprocess.Popen(
        [sys.executable, "-m", "tests.benchmarks.floors.inserts", site.database_url, str(count), kind],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=site.env,
        cwd=ROOT,
        text=True,
    ) as program:
        assert program.stdin is not None
        assert program.stdout is not None
        if program.stdout.readline() != "ready\n":
            raise RuntimeError("the program that inserts did not start")
        before = cpu_seconds(site.postgresql_pid)
        print(file=program.stdin, flush=True)
        json.loads(program.stdout.readline())
        used = cpu_seconds(site.postgresql_pid) - before
        print(file=program.stdin, flush=True)
    return used * 1000 / count


FLOORS: Mapping[str, Callable[[Site], Values]] = {
    "web": web,
    "commit": commit,
    "jobs": jobs,
    "posts": posts,
    "inserts": inserts,
}
