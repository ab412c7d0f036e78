"""What this process counts and what it reads from the databases at each scrape, for GET /metrics.

Counters are of this process; gauges about runs are of the whole installation, so take their maximum over processes.
"""

from prometheus_client import Counter, Gauge

REQUESTS = Counter("hookwright_requests", "HTTP requests except deliveries.", ["method", "route", "status"])
RECEIVED = Counter("hookwright_deliveries", "Deliveries stored as events.", ["source"])
DUPLICATES = Counter("hookwright_duplicates", "Deliveries that had been received before.", ["source"])
REFUSED = Counter("hookwright_refused", "Deliveries that were refused.", ["reason"])
UP = Gauge("hookwright_up", "1 if this dependency answered at the last scrape.", ["dependency"])
RUNS = Gauge("hookwright_runs", "Open runs now.", ["status"])
ENDED = Gauge("hookwright_runs_ended_24h", "Runs made in the last 24 hours that have ended.", ["status"])
OLDEST_DUE = Gauge("hookwright_oldest_due_seconds", "How late the longest overdue run is; 0: none is.")
WORKERS = Gauge("hookwright_workers", "Workers that gave a sign of life within the last 10 seconds.")
QUEUE_DEPTH = Gauge("hookwright_queue_depth", "Jobs in Redis that no worker has taken yet.")
PAGES = Gauge("hookwright_live_pages", "Dashboard pages that listen for live updates here.")
