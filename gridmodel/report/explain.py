"""What the compiler found in a model, which algorithms apply, and why the others do not."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from gridmodel.errors import ModelError, NotApplicableError
from gridmodel.ir.claim import FAULTS, Claim, Reveal
from gridmodel.ir.properties import BlockFacts, Properties, RowFacts, Traffic, Verdict
from gridmodel.report.text import columns, size
from gridmodel.units import per

if TYPE_CHECKING:
    from rich.console import Group

    from gridmodel.ir.links import Links
    from gridmodel.language.model import Model
    from gridmodel.runtime.channel import Channel
    from gridmodel.runtime.interface import AbstractAlgorithm

__all__ = ["Explanation", "explain"]

_MOST = 12

_Section = tuple[str, list[tuple[str, ...]], tuple[int, ...]]
"""Title, rows (the first is the header), columns aligned to the right."""


@dataclass(frozen=True)
class Explanation:
    """The structure of a model and the verdict of every algorithm on it.

    model: its name. currency: unit label of the cost.
    verdicts: whether each algorithm applies, and why. traffic: what a round of it sends, None where it sends nothing.
    choice, reason: what "auto" picks. units: the unit of each coupling, where it has one.
    claims: how each algorithm that applies ends under each fault. rules: what it does about lost messages.
    reveals: what an agent shows of itself under it.
    channel: the faults that were asked about; warnings: which algorithms go wrong under them.
    policies: what training would make of it, or why it cannot; empty where no agent has a horizon.
    """

    model: str
    properties: Properties
    verdicts: Mapping[str, Verdict]
    traffic: Mapping[str, Traffic | None]
    choice: str
    reason: str
    currency: str = "cost"
    units: Mapping[str, str | None] = field(default_factory=dict)
    claims: Mapping[str, Mapping[str, Claim]] = field(default_factory=dict)
    rules: Mapping[str, str] = field(default_factory=dict)
    reveals: Mapping[str, tuple[Reveal, ...]] = field(default_factory=dict)
    channel: Channel | None = None
    warnings: tuple[str, ...] = ()
    policies: str = ""

    def __str__(self) -> str:
        parts = [self._head()]
        for title, rows, right in self._tables():
            parts.append(f"{title}\n{_indent(columns(rows, right))}")
        parts.append(self._tail())
        return "\n\n".join(parts)

    def __rich__(self) -> Group:
        """The same content for a terminal."""
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        items: list[Any] = [Text(self._head()), Text()]
        for title, rows, right in self._tables():
            table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
            for k, header in enumerate(rows[0]):
                table.add_column(Text(header), justify="right" if k in right else "left", overflow="fold")
            for row in rows[1:]:
                table.add_row(*(Text(cell, style=_style(cell)) for cell in row))
            items += [table, Text()]
        return Group(*items, Text(self._tail(), style="bold"))

    def _head(self) -> str:
        p = self.properties
        kind = "LP" if p.is_lp else "QP" if p.is_qp else "conic program" if p.convex else "smooth program, not convex"
        lines = [
            f"{self.model}: {kind}, {_count(p.agents, 'agent')}, {_count(p.columns, 'column')}, "
            f"{_count(p.coupling_rows, 'coupling row')}"
        ]
        if p.copies:
            lines.append(f"{_count(p.copies, 'copy', 'copies')} of columns made where a cost or a cone spans agents")
        if p.components is None:
            lines.append("topology: none given")
        else:
            lines.append(f"topology: {_network(p)}; a coordinator is {'permitted' if p.coordinator else 'forbidden'}")
        if p.shared is not None and p.shared.numbers:
            rough = "smooth" if p.shared.rough is None else f"not smooth ({p.shared.rough})"
            lines.append(f"all agents share {_count(p.shared.numbers, 'number')}; their costs are {rough}")
        if p.strangers:
            lines.append(f"share a row of two but no edge: {_pairs(p.strangers)}")
        if p.step_norm is None:
            lines.append("response to prices: jumps (some agents' costs are not strongly convex along the couplings)")
        else:
            lines.append(f"response to prices: smooth, L = {p.step_norm:.4g} (prices may step by less than 2/L)")
        return "\n".join(lines)

    def _tables(self) -> list[_Section]:
        tables: list[_Section] = [("structure", _block_rows(self.properties.blocks), (1, 3, 4))]
        if self.properties.couplings:
            tables.append(("couplings", self._coupling_rows(), (3,)))
        applies = [(name, self.traffic.get(name), v.reason) for name, v in self.verdicts.items() if v.applies]
        if applies:
            header = ("algorithm", "messages a round", "bytes a round", "why")
            rows = [(name, *_sent(traffic), reason) for name, traffic, reason in applies]
            tables.append(("algorithms that apply", [header, *rows], (1, 2)))
        tables += self._fault_tables()
        shown = [(name, r.what, r.to, r.when) for name, every in self.reveals.items() for r in every]
        if shown:
            tables.append(("what an agent shows", [("algorithm", "what", "to", "when"), *shown], ()))
        refused = [(name, v.reason) for name, v in self.verdicts.items() if not v.applies]
        if refused:
            tables.append(("algorithms that do not apply", [("algorithm", "why not"), *refused], ()))
        return tables

    def _fault_tables(self) -> list[_Section]:
        """How algorithms end under faults, and on what conditions."""
        if not self.claims:
            return []
        faults = FAULTS if self.channel is None else ("ideal", *self.channel.faults)
        rows: list[tuple[str, ...]] = [("algorithm", "rule", *faults)]
        notes: dict[tuple[str, str], list[str]] = {}
        for name, claims in self.claims.items():
            cells = []
            for fault in faults:
                claim = claims.get(fault)
                if claim is None:
                    cells.append("not claimed")
                    continue
                plain = str(replace(claim, condition=""))
                if claim.condition:
                    notes.setdefault((name, claim.condition), []).append(fault)
                cells.append(plain + "*" * bool(claim.condition))
            rows.append((name, self.rules.get(name, ""), *cells))
        title = "where algorithms end under faults of the channel (errors: of the reference problem, of size 1)"
        found: list[_Section] = [(title, rows, ())]
        if notes:
            own = [(name, "all" if len(at) == len(faults) else ", ".join(at), why) for (name, why), at in notes.items()]
            found.append(("* on condition", [("algorithm", "fault", "condition"), *own], ()))
        return found

    def _coupling_rows(self) -> list[tuple[str, ...]]:
        facts = self.properties.couplings
        rows = [self._coupling_row(fact) for fact in facts[:_MOST]]
        if len(facts) > _MOST:
            rows.append((f"... and {len(facts) - _MOST} more", "", "", "", "", "", ""))
        return [("name", "kind", "sense", "rows", "agents a row", "unit", "price in"), *rows]

    def _coupling_row(self, fact: RowFacts) -> tuple[str, ...]:
        least, most = fact.participants
        unit = fact.unit or self.units.get(fact.name)
        agents = str(most) if least == most else f"{least} to {most}"
        return (fact.name, fact.kind, fact.sense, str(fact.rows), agents, unit or "-", per(self.currency, unit))

    def _tail(self) -> str:
        warnings = [f"warning: {warning}" for warning in self.warnings]
        policies = [f"policies: {self.policies}"] if self.policies else []
        return "\n".join([*warnings, f"auto picks {self.choice}: {self.reason}", *policies])


def explain(model: Model, prefer: str = "seconds", channel: Channel | None = None) -> Explanation:
    """The structure of a model, the algorithms that apply, why the others do not, and what a round costs.

    Args:
        model: any model.
        prefer: what is scarce, "seconds" or "rounds"; decides what "auto" picks.
        channel: faults to warn about; None shows the claims for all of them.

    Raises:
        ModelError: the model is wrong before any solving.
    """
    from gridmodel.compile import compile_model
    from gridmodel.methods import check_channel, choose, methods, over_channel, verdicts

    check_channel(channel)
    with _some_day(model):
        compiled = compile_model(model)
    found = verdicts(compiled)
    try:
        choice, reason = choose(compiled.properties, prefer, channel)
    except NotApplicableError as error:
        choice, reason = "nothing", str(error)
    applying = {name: methods()[name] for name, (verdict, _) in found.items() if verdict.applies}
    claims = {name: over_channel(algorithm).claims for name, algorithm in applying.items()}
    warnings: tuple[str, ...] = ()
    if channel is not None:
        refusals = {name: _refusal(algorithm, channel) for name, algorithm in applying.items()}
        misfit = _misfit(compiled.problem.links, channel)
        warnings = (*misfit, *_warnings(claims, refusals, channel))
    return Explanation(
        model=model.name,
        properties=compiled.properties,
        verdicts={name: verdict for name, (verdict, _) in found.items()},
        traffic={name: traffic for name, (_, traffic) in found.items()},
        choice=choice,
        reason=reason,
        currency=model.currency,
        units={coupling.name: coupling.unit for coupling in model.couplings},
        claims={name: claim for name, claim in claims.items() if claim},
        rules={name: over_channel(algorithm).lost for name, algorithm in applying.items()},
        reveals={name: algorithm.reveals for name, algorithm in applying.items() if algorithm.reveals},
        channel=channel,
        warnings=warnings,
        policies=_policies(model) if any(party.day is not None for party in model.agents) else "",
    )


def _some_day(model: Model) -> AbstractContextManager[None]:
    """Series without values have those of the first day to learn from: any day has the model's structure."""
    from gridmodel.learning.foresight import day_of

    known = [one.parameter for party in model.agents if party.day is not None for one in party.day.known.values()]
    if model.scenarios is None or all(parameter.value is not None for parameter in known):
        return nullcontext()
    return day_of(model, model.scenarios[0], 0)


def _policies(model: Model) -> str:
    """What ``gm.train`` would compile and warn of, or why it cannot."""
    from gridmodel.passes.training.graph import training_days, training_graph

    try:
        with warnings.catch_warnings(record=True) as doubts:
            warnings.simplefilter("always", UserWarning)
            graph = training_graph(model, training_days(model)[0])
    except ModelError as error:
        return f"none: {error}"
    acting = [
        f"{kind.size} of {kind.name} (sees {len(kind.observed) + 2} numbers, decides {len(kind.actions)})"
        for kind in graph.kinds
        if kind.actions
    ]
    watched = "" if graph.network is None else f", {len(graph.network.nodes)} voltages within limits"
    told = "".join(f"\n  {one.message}" for one in doubts)
    return f"gm.train(model) learns one for each of {', '.join(acting)}{watched}; no messages{told}"


def _misfit(links: Links | None, channel: Channel) -> tuple[str, ...]:
    """Why no algorithm of neighbours runs over a channel: it names who is not there, or cuts the topology."""
    from gridmodel.runtime.leaving import check_membership
    from gridmodel.runtime.network import Network

    try:
        if links is not None:
            Network(links, channel)
            check_membership(links, channel)
    except ModelError as error:
        return (f"no algorithm without a coordinator runs over this channel: {error}",)
    return ()


def _refusal(algorithm: AbstractAlgorithm, channel: Channel) -> str | None:
    """Why an algorithm does not run over a channel; None where it does."""
    try:
        algorithm.over(channel)
    except NotApplicableError as error:
        return str(error)
    return None


def _warnings(
    claims: Mapping[str, Mapping[str, Claim]], refusals: Mapping[str, str | None], channel: Channel
) -> Iterator[str]:
    """One sentence for each algorithm that does not end at the optimum under the channel's faults."""
    for name, own in claims.items():
        refusal = refusals[name]
        if refusal is not None:
            yield f"{name} does not run over this channel: {refusal}"
            continue
        if not own:
            continue
        for fault in ("ideal", *channel.faults):
            claim = own.get(fault)
            where = "over a perfect channel" if fault == "ideal" else f"under {fault}"
            if claim is None or claim.outcome == "open":
                yield f"nothing is claimed of {name} {where}"
            elif not claim.exact:
                yield f"{name} does not reach the optimum {where}: {claim}"
                break
    if channel.leaves and not channel.handover:
        from gridmodel.methods import methods

        kept = [name for name in claims if methods()[name].forgiving]
        only = ", ".join(kept) or "none of these"
        yield f"where an agent leaves without handing over, the others reach their optimum by {only} only"
    if len(channel.faults) > 1:
        yield "claims are for one fault at a time; of several at once the certificate tells"


def _network(p: Properties) -> str:
    state = "connected" if p.components == 1 else f"{p.components} separate parts"
    if p.network is None:
        return state
    links = p.network.edges if p.network.directed else p.network.edges // 2
    kind = "one-way or two-way links" if p.network.directed else "links"
    return f"{p.network.agents} agents, {links} {kind}{', varying with time' if p.network.varies else ''}, {state}"


def _block_rows(blocks: tuple[BlockFacts, ...]) -> list[tuple[str, ...]]:
    rows = [_block_row(block) for block in blocks[:_MOST]]
    if len(blocks) > _MOST:
        rest = sum(block.agents for block in blocks[_MOST:])
        rows.append((f"... and {len(blocks) - _MOST} more", str(rest), "", "", "", "", "", ""))
    return [("stack", "agents", "kind", "columns", "equations", "cones", "matrices", "curvature"), *rows]


def _block_row(block: BlockFacts) -> tuple[str, ...]:
    low, high = block.curvature
    matrices = "one" if block.agents == 1 else "equal" if block.equal else "differ"
    curvature = "none" if high == 0 else f"{low:.3g}" if low == high else f"{low:.3g} to {high:.3g}"
    return (
        block.example if block.agents == 1 else f"{block.example}, ...",
        str(block.agents),
        block.kind,
        str(block.columns),
        str(block.equations),
        block.cones or "none",
        matrices,
        curvature,
    )


def _sent(traffic: Traffic | None) -> tuple[str, str]:
    return ("-", "-") if traffic is None else (str(traffic.messages), size(traffic.bytes))


def _count(number: int, one: str, many: str | None = None) -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"


def _pairs(pairs: tuple[tuple[str, str], ...]) -> str:
    text = ", ".join(f"{a} and {b}" for a, b in pairs[:3])
    return text if len(pairs) <= 3 else f"{text}, and {len(pairs) - 3} more pairs"


def _style(cell: str) -> str:
    return "dim" if cell in ("-", "none") else ""


def _indent(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.split("\n"))
