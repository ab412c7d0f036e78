"""What the schedules run: every shape that keeps something between two steps."""

PIPELINES = {
    "chain": """
        id: chain
        triggers: [{uses: event, with: {type: chain}}]
        steps:
          - {id: take, uses: value, with: {n: "${{ event.body.n }}"}}
          - {id: first, uses: chaos.send, with: {n: "${{ steps.take.output.n }}"}}
          - {id: second, uses: chaos.send, with: {n: "${{ steps.take.output.n }}"}}
        outputs: {n: "${{ steps.second.output.n }}"}
    """,
    "fan": """
        id: fan
        triggers: [{uses: event, with: {type: fan}}]
        steps:
          - id: each
            for_each: {items: "${{ [1, 2, 3, 4] }}", concurrency: 2}
            uses: chaos.send
            with: "${{ item }}"
          - id: both
            parallel:
              left:
                - {id: left, uses: chaos.send, with: l}
                - {id: rest, wait: 10ms}
                - {id: lefter, uses: chaos.send, with: ll}
              right: [{id: right, uses: chaos.send, with: r}]
          - id: way
            switch:
              - if: event.body.n % 2 == 0
                steps: [{id: even, uses: chaos.send, with: even}]
              - else: [{id: odd, uses: chaos.send, with: odd}]
          - {id: called, uses: "pipeline:callee", with: {n: "${{ event.body.n }}"}}
        outputs: {each: "${{ steps.each.output }}", callee: "${{ steps.called.output.n }}"}
    """,
    "callee": """
        id: callee
        inputs: {n: integer}
        steps: [{id: inner, uses: chaos.send, with: {n: "${{ inputs.n }}"}}]
        outputs: {n: "${{ steps.inner.output.n }}"}
    """,
    "saga": """
        id: saga
        triggers: [{uses: event, with: {type: saga}}]
        steps:
          - {id: book, uses: chaos.send, with: book, compensate: [{id: unbook, uses: chaos.send, with: unbook}]}
          - {id: pay, uses: chaos.send, with: pay, compensate: [{id: refund, uses: chaos.send, with: refund}]}
          - {id: ship, uses: chaos.refuse, with: ship}
        on_error: [{id: sorry, uses: chaos.send, with: sorry}]
        finally: [{id: close, uses: chaos.send, with: close}]
    """,
    "waiter": """
        id: waiter
        triggers: [{uses: event, with: {type: waiter}}]
        steps:
          - {id: ask, uses: chaos.send, with: ask}
          - id: paid
            wait: {events: [{type: paid, if: incoming.body.n == event.body.n}], timeout: 30d}
          - {id: thank, uses: chaos.send, with: "${{ steps.paid.output.event.body.n }}"}
    """,
    "burst": """
        id: burst
        concurrency: {key: bursts, limit: 1}
        triggers: [{uses: event, with: {type: burst}, debounce: {period: 10ms, key: "${{ event.body.n }}"}}]
        steps: [{id: last, uses: chaos.send, with: "${{ event.body.n }}"}]
    """,
    "batch": """
        id: batch
        triggers: [{uses: event, with: {type: batch}, batch: {max_size: 2, max_wait: 20ms}}]
        steps: [{id: each, for_each: "${{ events }}", uses: chaos.send, with: "${{ item.id }}"}]
    """,
    "limited": """
        id: limited
        triggers: [{uses: event, with: {type: limited}}]
        concurrency: {key: one, limit: 1}
        steps:
          - {id: begin, uses: chaos.send, with: begin}
          - {id: middle, uses: chaos.send, with: middle, concurrency: {limit: 1}}
          - {id: end, uses: chaos.send, with: end}
    """,
    "pair": """
        id: pair
        triggers: [{uses: event, with: {type: pair}}]
        concurrency: {limit: 2}
        steps:
          - {id: begin, uses: chaos.send, with: begin}
          - {id: middle, uses: chaos.refuse, with: middle, on_error: continue}
          - {id: end, uses: chaos.send, with: end}
    """,
    "listener": """
        id: listener
        triggers: [{uses: run.finished, with: {pipelines: [chain, saga], outcomes: [succeeded, failed]}}]
        steps: [{id: heard, uses: chaos.send, with: "${{ event.body.run.id }}"}]
    """,
}
# The effects of a run that has ended: exactly these, in this order where they are in one list.
EFFECTS = {
    "chain": [["first", "second"]],
    "fan": [
        ["each[0]"], ["each[1]"], ["each[2]"], ["each[3]"], ["left", "lefter"], ["right"], ["called/inner"],
    ],
    "saga": [["book", "pay", "refund", "unbook", "sorry", "close"]],
    "waiter": [["ask", "thank"]],
    "limited": [["begin", "middle", "end"]],
    "pair": [["begin", "end"]],
    "listener": [["heard"]],
}  # fmt: skip
LIMITS = {"limited": 1, "pair": 2}
OUTCOMES = dict.fromkeys(EFFECTS, "succeeded") | {"saga": "failed"}
