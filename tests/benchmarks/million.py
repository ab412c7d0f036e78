"""Fills the tables with old, finished runs, so that figures can be compared with empty tables."""

from typing import Any

from tests.benchmarks.database import query

# Keys as time-ordered as real ones: the runs of the last 30 days, oldest first.
FILL = """
create unlogged table bench_key as
select i, uuidv7(make_interval(secs => age)) as event_id, uuidv7(make_interval(secs => age + 0.001)) as run_id,
    now() + make_interval(secs => age) as moment
from (select i, -3600 - (({rows} - i) * 2592000.0 / {rows}) as age from generate_series(1, {rows}) as i) as ages;

insert into event (id, source, type, received_at, method, path, query, headers, path_params, body, delivery_id)
select event_id, 'github', 'issues.opened', moment, 'POST', '/hooks/old', '',
    '[["content-type", "application/json"]]', '{{}}',
    convert_to(rpad('{{"pad": "', 900, md5(i::text)) || '"}}', 'UTF8'), 'old-' || i
from bench_key order by i;

insert into dedup (id, event_id, expires_at)
select md5('old-' || i)::uuid, event_id, now() + interval '1 day' from bench_key order by i;

insert into decision (id, event_id, pipeline, trigger, matched, reason, detail)
select uuidv7(moment - now()), event_id, 'old', 'github.webhook', true, 'matched', '{{}}' from bench_key order by i;

insert into run (id, pipeline, version, event_id, trigger, status, turn, labels, inputs, outputs, cancel_requested,
    created_at, started_at, finished_at)
select run_id, 'old-' || i % 20, repeat('0', 64), event_id, 'github.webhook',
    case when i % 50 = 0 then 'failed' else 'succeeded' end, 1, '{{}}', '{{}}', '{{}}', false, moment, moment, moment
from bench_key order by i;

insert into attempt (run_id, step, number, status, input, output, started_at, finished_at, cached)
select run_id, step, 1, 'succeeded', '{{"title": "issue number 1"}}', '{{"title": "issue number 1"}}', moment, moment,
    false
from bench_key cross join (values ('take'), ('send'), ('record')) as steps (step) order by i;

drop table bench_key;
"""


def fill(database_url: str, rows: int) -> str:
    """Insert so many events and runs with three attempts each; the id that everything newer is above."""
    for statement in FILL.format(rows=rows).split(";\n"):
        if statement.strip():
            query(database_url, statement)
    query(database_url, "vacuum analyze")
    query(database_url, "checkpoint")  # what was filled in shall not be written during the measurements
    marker: Any = query(database_url, "select uuidv7()")[0][0]
    return str(marker)
