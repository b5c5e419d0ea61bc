"""Models with agents of several kinds: elastic loads, batteries, cones."""

from __future__ import annotations

import cvxpy as cp
import networkx as nx
import numpy as np

import gridmodel as gm


def elastic_model() -> gm.Model:
    """Two generators and two loads whose use of power is worth 4 p - .8 p^2 and 3 p - p^2 / 2."""
    model = gm.Model("welfare")
    for name, slope in (("g1", 1.0), ("g2", 0.6)):
        agent = model.agent(name)
        p = agent.variable("p", bounds=(0, 3))
        agent.minimize(0.5 * slope * cp.square(p) + 0.2 * p)
    home, works = model.agent("home"), model.agent("works")
    p = home.variable("p", bounds=(0.1, 2))
    home.minimize(0.8 * cp.square(p) - 4 * p)
    p = works.variable("p", bounds=(0, 2))
    works.minimize(0.5 * cp.square(p) - 3 * p)
    model.couple(model["g1"]["p"] + model["g2"]["p"] == home["p"] + works["p"], name="balance")
    model.connect(nx.cycle_graph(["g1", "home", "g2", "works"]))
    return model


def battery_model(hours: int = 4) -> gm.Model:
    """A generator, a load and two batteries over some hours, on a path."""
    model = gm.Model("batteries")
    use = np.array([1.0, 2.0, 0.5, 1.5])[:hours]
    generator = model.agent("generator")
    p = generator.variable("p", hours, bounds=(0, 4))
    generator.minimize(cp.sum(0.5 * cp.square(p) + 0.1 * p))
    for name, size in (("small", 1.0), ("large", 2.0)):
        battery = model.agent(name)
        p = battery.variable("p", hours, bounds=(-1, 1))
        stored = battery.variable("stored", hours, bounds=(0, size))
        battery.minimize(0.1 * cp.sum_squares(p))
        battery.subject_to(stored[0] == 0.5 * size - p[0], stored[1:] == stored[:-1] - p[1:])
    model.couple(sum(a["p"] for a in model.agents) == use, name="balance")
    model.connect(nx.path_graph(["small", "generator", "large"]))
    return model


def cone_model() -> gm.Model:
    """A generator, and two inverters whose active and reactive power lie in a disc."""
    model = gm.Model("inverters")
    generator = model.agent("generator")
    s = generator.variable("s", 2)
    generator.minimize(cp.sum_squares(s))
    for name, size in (("i1", 1.0), ("i2", 0.7)):
        inverter = model.agent(name)
        s = inverter.variable("s", 2)
        inverter.minimize(0.2 * cp.sum_squares(s) + 0.1 * s[0])
        inverter.subject_to(cp.norm(s, 2) <= size)
    model.couple(sum(a["s"] for a in model.agents) == np.array([2.5, 0.8]), name="balance")
    model.connect(nx.cycle_graph(["generator", "i1", "i2"]))
    return model
