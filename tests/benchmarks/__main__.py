"""python -m tests.benchmarks [NAMES] [--quick] [--json FILE] [--rows N] [--assert] [--profile DIR]"""

import argparse
import os
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from tests.benchmarks.figures import FIGURES, Figure, filled
from tests.benchmarks.history import retire
from tests.benchmarks.measure_floors import FLOORS
from tests.benchmarks.million import fill
from tests.benchmarks.percentiles import median
from tests.benchmarks.processes import busy_seconds, cpu_seconds
from tests.benchmarks.profile import sampled
from tests.benchmarks.report import describe_machine, missed, print_report, write_json
from tests.benchmarks.scenarios import SCENARIOS, Scenario, Values
from tests.benchmarks.site import Site
from tests.benchmarks.up import whole

ROUNDS = 3
DISTURBED = 0.15  # processors' worth of CPU that others used meanwhile

UP = Scenario("up", whole, (), ("w4.memory", "w4.start"))


class Run:
    """Carries out rounds and keeps every sample."""

    def __init__(self, site: Site, profile: Path | None) -> None:
        self.samples: dict[str, list[float]] = {}
        self.loads: list[float] = []
        self._site = site
        self._profile = profile

    @property
    def values(self) -> Values:
        """The medians."""
        return {key: median(found) for key, found in self.samples.items()}

    def floors(self, names: Sequence[str], scenarios: Sequence[Scenario]) -> None:
        """One round of the floors that these scenarios need, or that are named."""
        for name, measure in FLOORS.items():
            if selected(f"floor.{name}", names) or any(name in scenario.floors for scenario in scenarios):
                self.measure(f"floor: {name}", partial(measure, self._site))

    def round(self, scenarios: Sequence[Scenario], prefix: str = "") -> None:
        """One round of the scenarios."""
        for scenario in scenarios:
            with sampled(self._site, self._profile, scenario.name):
                self.measure(scenario.name, partial(scenario.run, self._site), prefix)

    def measure(self, name: str, run: Callable[[], Values], prefix: str = "") -> None:
        """Run it and say on stderr what came out."""
        load, clock = os.getloadavg()[0], time.monotonic()
        busy, ours = busy_seconds(), cpu_seconds(os.getpid())
        values = run()
        seconds = time.monotonic() - clock
        others = ((busy_seconds() - busy) - (cpu_seconds(os.getpid()) - ours)) / seconds
        self.loads.append(load)
        for key, value in values.items():
            self.samples.setdefault(prefix + key, []).append(value)
        shown = "  ".join(f"{key} {value:.4g}" for key, value in values.items())
        remark = f"  [others used {others:.2f} processors]" if others > DISTURBED else ""
        print(f"{seconds:5.1f} s  load {load:4.2f}  {name}: {shown}{remark}", file=sys.stderr, flush=True)


def selected(key: str, names: Sequence[str]) -> bool:
    """Whether a figure is asked for: by its key, or by what its key begins with (`w2`). No names: all but floors."""
    return any(key == name or key.startswith(f"{name}.") for name in names)


def main() -> int:
    options = parse()
    names = options.names
    scenarios = [
        scenario for scenario in (*SCENARIOS, UP) if not names or any(selected(key, names) for key in scenario.figures)
    ]
    if "w2.two" in names:  # its floor is one worker
        scenarios = [s for s in SCENARIOS if s.name == "full queue" or s in scenarios]
    more: tuple[Figure, ...] = ()
    began, machine = time.monotonic(), describe_machine()
    with Site(options.quick) as site:
        run = Run(site, options.profile)
        if any(scenario is not UP for scenario in scenarios):
            site.start_api()
        for number in range(options.rounds or (1 if options.quick else ROUNDS)):
            run.floors(names, scenarios)
            run.round([scenario for scenario in scenarios if scenario is not UP or number == 0])
        if options.rows:
            more = filled(options.rows)
            site.marker = fill(site.database_url, options.rows)
            again = [s for s in SCENARIOS if s in scenarios and any(f"rows.{key}" in keys(more) for key in s.figures)]
            for _ in range(options.rounds or (1 if options.quick else ROUNDS)):
                run.round(again, "rows.")
            run.measure("retire", partial(retire, site))
    values = run.values
    machine |= {"load_average": [min(run.loads), max(run.loads)], "seconds": round(time.monotonic() - began)}
    print_report(values, more)
    print(
        f"\n{machine['seconds']} s on {machine['processors']} processors, load average "
        f"{min(run.loads):.2f} to {max(run.loads):.2f} (this program's own included)"
    )
    if options.json:
        write_json(options.json, values, run.samples, machine, more)
    below = missed(values, more) if options.strict else []
    for title in below:
        print(f"missed: {title}", file=sys.stderr)
    return 1 if below else 0


def keys(figures: Sequence[Figure]) -> set[str]:
    return {figure.key for figure in figures}


def parse() -> argparse.Namespace:
    """The command line."""
    known = ", ".join(figure.key for figure in FIGURES)
    parser = argparse.ArgumentParser("python -m tests.benchmarks", description="Measure Hookwright and its floors.")
    parser.add_argument("names", nargs="*", help=f"w1, w2, w3, w4, l, floor, or one of {known}")
    parser.add_argument("--quick", action="store_true", help="one shorter round instead of three")
    parser.add_argument("--rounds", type=int, help="how many rounds; the median counts")
    parser.add_argument("--json", type=Path, help="write every sample to this file")
    parser.add_argument("--rows", type=int, default=0, help="measure again with so many runs in the tables")
    parser.add_argument("--assert", dest="strict", action="store_true", help="exit code 1 if a figure is below `reach`")
    parser.add_argument("--profile", type=Path, help="sample API and workers with py-spy into this directory")
    options = parser.parse_args()
    everything = [*keys(FIGURES), *(f"floor.{name}" for name in FLOORS)]
    for name in options.names:
        if not any(selected(key, [name]) for key in everything):
            parser.error(f"there is no figure {name!r}; there are: w1, w2, w3, w4, l, floor, {known}")
    return options


if __name__ == "__main__":
    sys.exit(main())
