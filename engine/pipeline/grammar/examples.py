"""An example of every key, for docs, editor and hover. A test puts each into a pipeline and checks it."""

EXAMPLES: dict[str, dict[str, str]] = {
    "pipeline": {
        "id": "id: github-triage",
        "name": "name: Triage new issues",
        "description": "description: Labels new issues and tells the team.",
        "labels": "labels:\n  team: devex\n  issue: ${{ event.body.issue.number }}",
        "enabled": "enabled: false",
        "triggers": (
            "triggers:\n  - uses: github.webhook\n    with:\n      path: github\n"
            "      secret: ${{ secrets.GITHUB_SECRET }}\n      events: [issues.opened]"
        ),
        "inputs": "inputs:\n  title: string\n  tags: string[]\n  count: {type: integer, minimum: 1, default: 1}",
        "vars": (
            "vars:\n  repository: ${{ event.body.repository.full_name }}\n"
            "  channel: '#${{ vars.repository | slugify }}'"
        ),
        "concurrency": "concurrency:\n  key: ${{ event.body.issue.number }}\n  on_limit: cancel_running",
        "rate_limit": "rate_limit:\n  limit: 10\n  period: 1m",
        "timeout": "timeout: 2h",
        "start_timeout": "start_timeout: 10m",
        "defaults": "defaults:\n  http.*:\n    retry: 5\n    timeout: 20s",
        "steps": "steps:\n  - uses: value\n    with: {greeting: hello}",
        "on_error": (
            "on_error:\n  - uses: emit\n    with:\n      type: triage.failed\n      body: {step: '${{ error.step }}'}"
        ),
        "finally": (
            "finally:\n  - uses: emit\n    with:\n      type: triage.done\n      body: {outcome: '${{ run.outcome }}'}"
        ),
        "outputs": "outputs:\n  greeting: ${{ steps.made.output.greeting }}",
    },
    "trigger": {
        "id": "id: opened",
        "uses": "uses: webhook",
        "with": "with:\n  path: orders\n  auth: {hmac: {secret: '${{ secrets.ORDERS }}', header: X-Signature}}",
        "if": "if: event.body.action == 'opened'",
        "inputs": "inputs:\n  title: ${{ event.body.issue.title }}",
        "dedup": "dedup: ${{ event.body.id }}",
        "debounce": "debounce: {key: '${{ event.body.id }}', period: 20s}",
        "batch": "batch: {max_size: 100, max_wait: 30s}",
        "respond": "respond: {mode: sync, timeout: 20s}",
    },
    "dedup": {"key": "key: ${{ event.body.id }}", "window": "window: 3d"},
    "debounce": {"key": "key: ${{ event.body.id }}", "period": "period: 20s", "max_wait": "max_wait: 5m"},
    "batch": {"key": "key: ${{ event.body.site }}", "max_size": "max_size: 500", "max_wait": "max_wait: 30s"},
    "respond": {
        "mode": "mode: sync",
        "timeout": "timeout: 25s",
        "after": "after: made",
        "status": "status: ${{ 200 if run.outcome == 'succeeded' else 502 }}",
        "headers": "headers: {x-run: '${{ run.id }}'}",
        "body": "body: ${{ outputs }}",
    },
    "concurrency": {
        "key": "key: ${{ inputs.title }}",
        "limit": "limit: 5",
        "on_limit": "on_limit: drop",
        "max_queued": "max_queued: 100",
        "scope": "scope: global",
    },
    "rate_limit": {
        "key": "key: ${{ inputs.title }}",
        "limit": "limit: 50",
        "period": "period: 1s",
        "burst": "burst: 10",
        "on_limit": "on_limit: drop",
        "max_queued": "max_queued: 1000",
        "scope": "scope: global",
    },
    "defaults": {
        "with": "with: {follow_redirects: false}",
        "retry": "retry: {attempts: 5, delay: 2s}",
        "timeout": "timeout: 20s",
        "queue": "queue: default",
        "cache": "cache: 1h",
        "rate_limit": "rate_limit: {limit: 10, period: 1s}",
        "concurrency": "concurrency: {limit: 3}",
    },
    "step": {
        "id": "id: fetch",
        "name": "name: Fetch the order",
        "uses": "uses: http.request",
        "with": "with:\n  url: https://shop.example.com/orders/${{ inputs.title | urlencode }}",
        "steps": "steps:\n  - uses: value\n    with: first\n  - uses: value\n    with: second",
        "parallel": (
            "parallel:\n  left:\n    - uses: value\n      with: 1\n  right:\n    - uses: value\n      with: 2"
        ),
        "switch": (
            "switch:\n  - if: inputs.title == 'a'\n    steps:\n      - uses: value\n        with: is a\n"
            "  - else:\n      - uses: value\n        with: something else"
        ),
        "wait": "wait: 30m",
        "if": "if: inputs.title != ''",
        "for_each": "for_each: ${{ [1, 2, 3] }}",
        "repeat": "repeat: {until: result.status == 200, every: 30s, max: 10}",
        "timeout": "timeout: 20s",
        "retry": "retry: 5",
        "on_error": "on_error: continue",
        "compensate": (
            "compensate:\n  - uses: http.request\n    with: {method: DELETE, url: 'https://shop.example.com/orders/7'}"
        ),
        "output": "output: ${{ result.body }}",
        "cache": "cache: 1d",
        "idempotency_key": "idempotency_key: order-${{ inputs.title }}",
        "on_unknown": "on_unknown: ask",
        "sensitive": "sensitive: [body.token]",
        "queue": "queue: default",
        "concurrency": "concurrency: {limit: 3}",
        "rate_limit": "rate_limit: {key: shop, limit: 50, period: 1s}",
    },
    "case": {
        "if": "if: inputs.title | startswith('a')",
        "steps": "steps:\n  - uses: value\n    with: begins with a",
        "else": "else:\n  - uses: value\n    with: does not",
    },
    "for_each": {
        "items": "items: ${{ ['a', 'b'] }}",
        "as": "as: letter",
        "key": "key: ${{ item }}",
        "concurrency": "concurrency: 10",
        "on_item_error": "on_item_error: continue",
        "max_errors": "max_errors: 20%",
    },
    "repeat": {
        "until": "until: result.body.state == 'done'",
        "every": "every: 30s",
        "max": "max: 20",
        "max_elapsed": "max_elapsed: 1h",
    },
    "wait": {
        "for": "for: 30m",
        "until": "until: ${{ date_add(run.started_at, '1d') }}",
        "events": "events:\n  - {source: stripe, type: invoice.paid, if: incoming.body.id == inputs.title}",
        "approval": "approval: {prompt: 'Refund ${{ inputs.title }}?'}",
        "timeout": "timeout: 3d",
        "on_timeout": "on_timeout: continue",
        "on_reject": "on_reject: continue",
        "since": "since: now",
    },
    "wait_event": {
        "source": "source: stripe",
        "type": "type: invoice.*",
        "if": "if: incoming.body.id == inputs.title",
    },
    "approval": {
        "prompt": "prompt: Refund ${{ inputs.title }}?",
        "approvers": "approvers: [group:finance, mia@example.com]",
        "exclude": "exclude: ['bo@example.com']",
        "form": "form:\n  note: {type: string, default: ''}",
        "notify": "notify:\n  - uses: value\n    with: ${{ approval.approve_url }}",
    },
    "retry": {
        "attempts": "attempts: 5",
        "delay": "delay: 2s",
        "factor": "factor: 3",
        "max_delay": "max_delay: 1m",
        "max_elapsed": "max_elapsed: 10m",
        "jitter": "jitter: false",
        "errors": "errors: [network, http.5*]",
        "when": "when: error.message | contains('busy')",
    },
    "on_error": {"output": "output: {found: false}"},
    "cache": {"key": "key: ${{ inputs.title }}", "ttl": "ttl: 7d"},
    "project": {
        "language": "language: 1",
        "env": "env: [BILLING_URL, CRM_URL]",
        "queues": "queues:\n  default: {priority: 10}\n  ai: {concurrency: 4}",
        "defaults": "defaults:\n  ai.*: {timeout: 2m}",
        "groups": "groups:\n  finance: [ada, grace@example.com]",
        "connections": "connections:\n  warehouse: {uses: postgres, with: {dsn: '${{ secrets.WAREHOUSE_DSN }}'}}",
    },
    "queue": {"priority": "priority: 10", "concurrency": "concurrency: 4"},
    "connection": {"uses": "uses: postgres", "with": "with: {dsn: '${{ secrets.WAREHOUSE_DSN }}'}"},
}


def example_of(section: str, key: str) -> str:
    """The YAML of a key with a value; empty if there is none."""
    return EXAMPLES.get(section, {}).get(key, "")
