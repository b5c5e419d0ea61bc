"""Two buses, a cheap and a dear generator, and a line between them: locational marginal prices.

minimise    10 p_cheap + 30 p_dear
subject to  p_cheap - flow == 0       (bus 1)
            p_dear + flow == load     (bus 2)
            -line <= flow <= line

A line of 60 MW under a load of 100 MW is full: the prices part, 10 at bus 1 and 30 at bus 2, and the line
earns the congestion rent (30 - 10) * 60 = 1200 EUR/h. With more than 100 MW both prices are 10.
"""

from __future__ import annotations

import networkx as nx

import gridmodel as gm


def build(line: float = 60.0, load: float = 100.0) -> gm.Model:
    """The two buses as a model.

    Args:
        line: capacity of the line in MW.
        load: load at bus 2 in MW.
    """
    if line < 0:
        raise gm.ModelError(f"lmp: the capacity of the line is at least 0 MW, got line={line:g}.")
    model = gm.Model("two-bus prices", currency="EUR/h")
    for name, price in [("cheap", 10.0), ("dear", 30.0)]:
        generator = model.agent(name)
        generator.minimize(price * generator.variable("p", bounds=(0, 200), unit="MW"))
    flow = model.agent("line").variable("flow", bounds=(-line, line), unit="MW")

    model.couple(model["cheap"]["p"] - flow == 0, name="bus 1")
    model.couple(model["dear"]["p"] + flow == load, name="bus 2")
    model.connect(nx.path_graph(["cheap", "line", "dear"]))
    return model
