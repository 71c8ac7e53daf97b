"""How the search got there: losses, the terms of the policy's cost, expected costs, and the policy itself."""

from __future__ import annotations

import math
from collections.abc import Mapping

from unas.report import curves, heat_strip
from unas.report.curves import Curve, Guide, Plot
from unas.report.figures import count, quantity, short
from unas.report.markup import Markup, element
from unas.report.parts import missing, pairs, section
from unas.report.run_data import SEARCH, RunData
from unas.report.stage import planned_epochs

_SHARES = {"skip_share": "of the mode", "expected_skip_share": "expected of a draw"}
_COSTS = {
    "expected_latency_ms": ("latency", "ms", "Expected latency"),
    "expected_macs": ("macs", "multiply-adds", "Expected multiply-adds"),
    "expected_params": ("params", "parameters", "Expected parameters"),
    "expected_memory_bytes": ("memory", "bytes", "Expected peak memory"),
    "expected_energy_mj": ("energy", "mJ", "Expected energy"),
}
_OTHERS = {"train_loss", "entropy", "normalised_entropy", "skipped", *_SHARES, *_COSTS}
_MAX_TERMS = 6


def draw(run: RunData, level: int) -> Markup:
    """Return the section."""
    given = run.config.text("genotype")
    if given and not run.steps[SEARCH]:
        return section(
            "Search", level, missing(f"Nothing was searched: the architecture was given ({given}).")
        )
    if not run.steps[SEARCH]:
        return section("Search", level, missing("No step of the search is logged yet."))
    drawn = element("div", *(curves.draw(plot) for plot in plots(run)), class_="plots")
    return section("Search", level, _alarms(run), drawn, _policy(run, level), _end(run))


def plots(run: RunData) -> list[Plot]:
    """Return the plots over the steps of the search, of what is logged."""
    loss, entropy = (
        _curves(run, {"train_loss": "training loss"}),
        _curves(run, {"entropy": "entropy"}),
    )
    names = [name for name in run.figures[SEARCH] if name not in _OTHERS][:_MAX_TERMS]
    terms = _curves(run, {name: _plain(name) for name in names})
    found = [
        Plot("Training loss of the supernet", "nats", loss, mark=_policy_starts(run)),
        Plot("Terms of the policy's cost, before their weights", "", terms),
        Plot("Entropy of the policy", "nats", entropy, _uniform(run), limits=(0.0,)),
        *(_cost(run, name) for name in _COSTS),
        Plot("Share of skip connections", "share", _curves(run, _SHARES), limits=(0.0, 1.0)),
    ]
    return [plot for plot in found if plot.curves]


def _curves(run: RunData, names: Mapping[str, str]) -> list[Curve]:
    """Return the curves of those figures that are logged; `names` says what each is called."""
    series = run.figures[SEARCH]
    return [
        Curve(says, series[name].bins(), series[name].last)
        for name, says in names.items()
        if name in series
    ]


def _plain(name: str) -> str:
    return name.replace("_", " ")


def _policy_starts(run: RunData) -> tuple[float, str] | None:
    """Return the step from which the policy is trained: its entropy is logged from there on."""
    entropy = run.figures[SEARCH].get("entropy")
    return (entropy.bins()[0].first - 1, "policy starts") if entropy is not None else None


def _uniform(run: RunData) -> tuple[Guide, ...]:
    """Return the entropy of the uniform policy."""
    if not run.policy:
        return ()
    most = sum(
        math.log(len(options)) for options in run.policy[-1].probabilities.values() if options
    )
    return (Guide(f"uniform policy, {short(most)}", most),)


def _cost(run: RunData, name: str) -> Plot:
    """Return the cost that is expected under the policy, with the limits of the budgets on it, or what it aims at."""
    kind, unit, title = _COSTS[name]
    budgets = [item for item in run.summary.objects("budgets") if item.text("quantity") == kind]
    guides = [("limit", item.number("limit")) for item in budgets]
    if not guides:
        terms = run.config.object("search").object("objectives")
        terms_of_kind = [
            term for each in terms.values if (term := terms.object(each)).text("name") == kind
        ]
        guides = [
            ("target", term.number("target_ms" if kind == "latency" else "limit"))
            for term in terms_of_kind
        ]
    lines = tuple(
        Guide(f"{says}, {quantity(kind, value)}", value)
        for says, value in guides
        if value is not None
    )
    return Plot(title, unit, _curves(run, {name: "expected under the policy"}), lines)


def _alarms(run: RunData) -> Markup | None:
    if not run.alarms:
        return None
    items = [element("li", element("b", f"{name}: "), says) for name, says in run.alarms.items()]
    return element("ul", *items, class_="alarms")


def _policy(run: RunData, level: int) -> Markup:
    """Return a strip for each choice, in one figure for each first part of their names, such as a cell's."""
    title = element(f"h{level + 1}", "The policy over epochs")
    if not run.policy:
        return element(
            "div", title, missing("policy.json is missing: it is written after the first epoch.")
        )
    found = run.genotype.choices if run.genotype is not None else {}
    groups: dict[str, list[heat_strip.Strip]] = {}
    strips = heat_strip.strips_of(run.policy, found)
    for strip in strips[: 4 * heat_strip.MAX_ROWS]:
        group, _, rest = strip.name.partition("/")
        groups.setdefault(group if rest else "all", []).append(strip)
    epochs = [epoch.number for epoch in run.policy]
    drawn = [
        heat_strip.draw(_title(group), part, epochs)
        for group, all_of in groups.items()
        for start in range(0, len(all_of), heat_strip.MAX_ROWS)
        if (part := all_of[start : start + heat_strip.MAX_ROWS])
    ]
    done, planned = epochs[-1], planned_epochs(run)
    says = (
        "One strip a choice: how probable the option was that it ended with, after each epoch. A tick stands where "
        "that option became the most probable one for good."
    )
    says += f" {done} of {planned} epochs are done." if done < planned else ""
    more = len(strips) - 4 * heat_strip.MAX_ROWS
    says += f" {more} more choices are not drawn." if more > 0 else ""
    return element(
        "div", title, element("p", says, class_="quiet"), element("div", *drawn, class_="plots")
    )


def _title(group: str) -> str:
    return "Choices" if group == "all" else f"{group[:40]} choices"


def _end(run: RunData) -> Markup | None:
    """Return what choosing has found at the end of the search."""
    summary, rows = run.summary, []
    if (accuracy := summary.number("validation_accuracy")) is not None:
        loss = summary.number("validation_loss")
        says = "" if loss is None else f", loss {loss:.4g} nats"
        rows.append(("validation accuracy in the supernet", f"{100 * accuracy:.2f} %{says}"))
    if (candidates := summary.number("candidates")) is not None:
        rows.append(("architectures compared at the end", count(candidates)))
    if (entropy := summary.number("normalised_entropy")) is not None:
        rows.append(
            ("entropy of the policy over its maximum", f"{entropy:.3f} (0: decided, 1: uniform)")
        )
    rows.append(("updates skipped, not finite", skipped(run, SEARCH)))
    return pairs("How the search ended", rows)


def skipped(run: RunData, phase: str) -> str:
    """Return how many updates of a phase were left out because a number was not finite."""
    logged = run.figures[phase].get("skipped")
    found = run.summary.number(f"skipped_{phase}_updates")
    return count(logged.last if found is None and logged is not None else found or 0)
