"""How the search got there: losses, the terms of the cost, expected costs, and the policy."""

from __future__ import annotations

import math
from collections.abc import Mapping

from unas.common.text import readable_count, readable_number
from unas.report import candidates, costs, curves, finalists, heat_strip
from unas.report.curves import Curve, Guide, Plot
from unas.report.markup import Markup, element
from unas.report.parts import missing, pairs, section
from unas.report.run_data import RunData
from unas.report.stage import planned_epochs
from unas.runs.names import SEARCH

_SHARES = {"skip_share": "of the mode", "expected_skip_share": "expected of a draw"}
_RATES = {"weights_lr": "of the weights", "policy_lr": "of the policy"}
_SCORES = {"mode_top1": "of the mode", "mode_top5": "of the mode, top 5"}
_NORMS = {"weights_gradient_norm": "of the weights", "policy_gradient_norm": "of the policy"}
_NO_TERMS = {
    "train_loss",
    "entropy",
    "normalised_entropy",
    "skipped",
    "temperature",
    "mode_loss",
    *_SCORES,
    *_SHARES,
    *_RATES,
    *_NORMS,
}
_MAX_TERMS = 6
_MAX_STRIPS = 4 * heat_strip.MAX_ROWS


def draw(run: RunData, level: int) -> Markup:
    """Return the section."""
    genotype = run.config.text("genotype")
    if genotype and not run.steps[SEARCH]:
        says = f"Nothing was searched: the architecture was given ({genotype})."
        return section("Search", level, missing(says))
    if not run.steps[SEARCH]:
        return section("Search", level, missing("No step of the search is logged yet."))
    drawn: list[Markup | None] = [curves.draw(plot) for plot in plots(run)]
    drawn.append(candidates.draw(run.candidates))
    trained = finalists.draw(run.finalists, run.candidates)
    figures = element("div", *drawn, class_="plots")
    blocks = (_alarms(run), figures, trained, _policy(run, level), _end(run))
    return section("Search", level, *blocks)


def plots(run: RunData) -> list[Plot]:
    """Return the plots over the steps of the search, of what is logged."""
    logged = [name for name in run.figures[SEARCH] if name not in _NO_TERMS]
    judged = [verdict.text("quantity") for verdict in run.summary.objects("budgets")]
    expected = costs.expected_costs(logged, judged)
    names = [name for name in logged if name not in expected][:_MAX_TERMS]
    terms = _curves(run, {name: name.replace("_", " ") for name in names})
    loss = _curves(run, {"train_loss": "training loss"})
    entropy = _curves(run, {"entropy": "entropy"})
    all_plots = [
        Plot("Training loss of the supernet", "nats", loss, mark=_policy_starts(run)),
        Plot("Terms of the policy's cost, before their weights", "", terms),
        Plot("Entropy of the policy", "nats", entropy, _uniform(run), limits=(0.0,)),
    ]
    all_plots += [_cost(run, name, quantity) for name, quantity in expected.items()]
    shares = _curves(run, _SHARES)
    all_plots += [
        Plot("Share of skip connections", "share", shares, limits=(0.0, 1.0)),
        Plot("Accuracy in the supernet, on validation images", "share", _curves(run, _SCORES)),
        Plot("Learning rates of the search", "", _curves(run, _RATES)),
        Plot("Norms of the gradients, before they are clipped", "", _curves(run, _NORMS)),
    ]
    return [plot for plot in all_plots if plot.curves]


def _curves(run: RunData, names: Mapping[str, str]) -> list[Curve]:
    """Return the curves of those figures that are logged; `names` says what each is called."""
    series = run.figures[SEARCH]
    logged = [name for name in names if name in series]
    return [Curve(names[name], series[name].bins(), series[name].last) for name in logged]


def _policy_starts(run: RunData) -> tuple[float, str] | None:
    """Return the step from which the policy is trained: its entropy is logged from there on."""
    entropy = run.figures[SEARCH].get("entropy")
    if entropy is None:
        return None
    return entropy.bins()[0].first - 1, "policy starts"


def _uniform(run: RunData) -> tuple[Guide, ...]:
    """Return the entropy of the uniform policy."""
    if not run.policy:
        return ()
    choices = run.policy[-1].probabilities.values()
    most = sum(math.log(len(options)) for options in choices if options)
    return (Guide(f"uniform policy, {readable_number(most)}", most),)


def _cost(run: RunData, figure: str, quantity: str) -> Plot:
    """Return the cost that is expected under the policy, with what it should be at most.

    That is the limit of each budget on the quantity, and before there is a verdict also what the
    terms of the configuration aim at.
    """
    guides = []
    for says, most in _limits(run, quantity):
        text = f"{says}, {costs.quantity(quantity, most)}"
        guides.append(Guide(text, most))
    curve = _curves(run, {figure: "expected under the policy"})
    title = f"Expected {costs.label(quantity)}"
    return Plot(title, costs.unit(quantity), curve, tuple(guides))


def _limits(run: RunData, quantity: str) -> list[tuple[str, float]]:
    limits = []
    for verdict in run.summary.objects("budgets"):
        limit = verdict.number("limit")
        if verdict.text("quantity") == quantity and limit is not None:
            limits.append(("limit", limit))
    if limits:
        return limits
    limits = [("limit", limit) for limit in costs.asked_limits(run.config, quantity)]
    terms = run.config.object("search").object("objectives")
    for name in terms.values:
        term = terms.object(name)
        target = term.number("limit") or term.number("target_ms")
        if term.text("name") == quantity and target is not None:
            limits.append(("target", target))
    return limits


def _alarms(run: RunData) -> Markup | None:
    if not run.alarms:
        return None
    items = [element("li", element("b", f"{name}: "), says) for name, says in run.alarms.items()]
    return element("ul", *items, class_="alarms")


def _policy(run: RunData, level: int) -> Markup:
    """Return a strip for each choice, in one figure for each first part of their names."""
    title = element(f"h{level + 1}", "The policy over epochs")
    if not run.policy:
        none = missing("policy.json is missing: it is written after the first epoch.")
        return element("div", title, none)
    choices = run.genotype.choices if run.genotype is not None else {}
    strips = heat_strip.strips_of(run.policy, choices)
    epochs = [epoch.number for epoch in run.policy]
    figures = []
    for group, strips_of_group in _by_first_part(strips[:_MAX_STRIPS]).items():
        for start in range(0, len(strips_of_group), heat_strip.MAX_ROWS):
            rows = strips_of_group[start : start + heat_strip.MAX_ROWS]
            figures.append(heat_strip.draw(_title(group), rows, epochs))
    says = element("p", _about_strips(run, len(strips)), class_="quiet")
    return element("div", title, says, element("div", *figures, class_="plots"))


def _by_first_part(strips: list[heat_strip.Strip]) -> dict[str, list[heat_strip.Strip]]:
    """Return strips by the first part of their names, such as a cell's; "all" without blocks."""
    groups: dict[str, list[heat_strip.Strip]] = {}
    for strip in strips:
        first_part, slash, _ = strip.name.partition("/")
        groups.setdefault(first_part if slash else "all", []).append(strip)
    return groups


def _about_strips(run: RunData, count: int) -> str:
    done = run.policy[-1].number
    planned = planned_epochs(run)
    says = (
        "One strip a choice: how probable the option was that it ended with, after each epoch. "
        "A tick stands where that option became the most probable one for good."
    )
    if done < planned:
        says += f" {done} of {planned} epochs are done."
    if count > _MAX_STRIPS:
        says += f" {count - _MAX_STRIPS} more choices are not drawn."
    return says


def _title(group: str) -> str:
    return "Choices" if group == "all" else f"{group[:40]} choices"


def _end(run: RunData) -> Markup | None:
    """Return what choosing found at the end of the search."""
    summary = run.summary
    rows = []
    accuracy = summary.number("validation_accuracy")
    if accuracy is not None:
        loss = summary.number("validation_loss")
        says = "" if loss is None else f", loss {loss:.4g} nats"
        rows.append(("validation accuracy in the supernet", f"{100 * accuracy:.2f} %{says}"))
    compared = summary.number("candidates")
    if compared is not None:
        rows.append(("architectures compared at the end", readable_count(compared)))
    finalists = summary.number("finalists")
    finalist_accuracy = summary.number("finalist_accuracy")
    if finalists is not None and finalist_accuracy is not None:
        share = f"{100 * finalist_accuracy:.2f} % of validation images"
        says = f"{readable_count(finalists)}; the best, right about {share}, goes on"
        rows.append(("finalists trained for a short time", says))
    entropy = summary.number("normalised_entropy")
    if entropy is not None:
        says = f"{entropy:.3f} (0: decided, 1: uniform)"
        rows.append(("entropy of the policy over its maximum", says))
    rows.append(("updates skipped, not finite", skipped(run, SEARCH)))
    return pairs("How the search ended", rows)


def skipped(run: RunData, phase: str) -> str:
    """Return how many updates of a phase were left out because a number was not finite."""
    count = run.summary.number(f"skipped_{phase}_updates")
    logged = run.figures[phase].get("skipped")
    if count is None and logged is not None:
        count = logged.last
    return readable_count(count or 0)
