"""Channels: careless options are named with their bound and the way out; text in and out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gridmodel.errors import ModelError, UnknownNameError
from gridmodel.runtime.channel import Channel, intervals
from gridmodel.runtime.masking import Gaussian

CARELESS: list[tuple[dict[str, Any], str]] = [
    ({"drop": 30}, r"drop=30 is the share of packets lost \(10 % is drop=0.1\) and must be at least 0 and below 1"),
    ({"drop": -1}, "drop=-1 .* at least 0 and below 1"),
    ({"drop": 1.0}, "drop=1.0 .* below 1"),
    ({"drop": float("nan")}, "drop=nan"),
    ({"drop": "0.3"}, "drop='0.3'"),
    ({"drop": True}, "drop=True"),
    ({"awake": 0}, "awake=0 .* above 0 and at most 1"),
    ({"noise": -1e-3}, "noise=-0.001 is a standard deviation and must be at least 0"),
    ({"noise": np.inf}, "noise=inf .* finite"),
    ({"span": 0.0}, "span=0.0 .* above 0"),
    ({"bits": 0}, "bits=0 must be a whole number from 1 to 52, or None"),
    ({"bits": 8.5}, "bits=8.5 must be a whole number"),
    ({"bits": 64}, "bits=64 must be a whole number from 1 to 52"),
    ({"delay": 1.5}, "delay=1.5 must be a whole number of rounds"),
    ({"delay": float("inf")}, "delay=inf must be a whole number of rounds"),
    ({"delay": "2"}, "delay='2' must be a whole number of rounds"),
    ({"jitter": -1}, "jitter=-1 must be a whole number of rounds, 0 or more"),
    ({"seed": "a"}, "seed='a' must be a whole number, 0 or more"),
    ({"handover": "no"}, "handover='no' must be True or False"),
    ({"outages": [("g2", (1, 2))]}, r"outages=.* must map names of agents, {agent: \(first round, round of return\)}"),
    ({"leaves": None}, "leaves=None must map names of agents, {agent: round}"),
    ({"joins": ["g2"]}, r"joins=\['g2'\] must map names of agents"),
    ({"seed": -3}, "seed=-3 must be a whole number, 0 or more"),
    ({"outages": {"g2": (300, 200)}}, r"the outage \(300, 200\) of 'g2' must start .* before it ends"),
    ({"outages": {"g2": (-5, 3)}}, r"the outage \(-5, 3\) of 'g2' must start at round 0"),
    ({"outages": {"g2": 5}}, r"the outage 5 of 'g2' is not understood; write \(first round, round of return\)"),
    ({"outages": {"g2": (1, 2, 3)}}, "is not understood"),
    ({"outages": {"g2": [(1, 2), (3, 2.5)]}}, "is not understood"),
    ({"leaves": {"g2": -1}}, "leaves={'g2': -1} must name a round"),
    ({"leaves": {"g2": 7}, "joins": {"g2": 7}}, "'g2' leaves and joins in round 7"),
    ({"burst": 5}, "burst=5 loses nothing without drop; give drop=SHARE"),
    ({"burst": 0.5, "drop": 0.3}, "burst=0.5 is the mean length of a loss in rounds and must be at least 1"),
    ({"burst": 2, "drop": 0.8}, "losses of 0.8 cannot come in bursts of 2 rounds; use burst of at least 4"),
    ({"coding": "delta", "bits": 8}, "coding='delta' is unknown; use 'fixed' or 'difference'"),
    ({"coding": "difference"}, "coding='difference' rounds to levels; give their number by bits"),
    ({"coding": "difference", "bits": 8, "drop": 0.1}, "every packet arrives.*drop keeps some.*coding='fixed'"),
    ({"coding": "difference", "bits": 8, "jitter": 1}, "jitter keeps some"),
    ({"coding": "difference", "bits": 8, "joins": {"a": 3}}, "joins keeps some"),
    ({"rule": "pair"}, "rule='pair' is unknown; use paired, skip, hold for what is mixed, sums, ack, lose for shares"),
    ({"mask": 0.0}, "mask=0.0 .* above 0"),
    ({"privacy": 0.1}, r"privacy=0.1 must be a Gaussian\(sigma, sensitivity\)"),
]


@pytest.mark.parametrize(("options", "text"), CARELESS, ids=lambda value: str(value)[:40])
def test_careless_options_are_named(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ModelError, match=text):
        Channel(**options)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("drop", "'drop' has no value; write drop=NUMBER"),
        ("drop=", "'drop=' has no value"),
        ("outage", "write outage=AGENT:FIRST-LAST"),
        ("drop=x", "drop='x' is no number"),
        ("drop=10%", "drop='10%' is no number; a share of 10 % is drop=0.1"),
        ("drop=.1,drop=.2", "drop is given twice"),
        ("leave=g2:5,leave=g2:8", "g2 leaves or joins twice"),
        ("outage=g2", "outage='g2' is not understood; write outage=AGENT:FIRST-LAST"),
        ("outage=g2:300", "outage='g2:300' is not understood"),
        ("leave=g2", "'g2' is not understood; write AGENT:ROUND"),
        ("delay=1.5", "delay=1.5 must be a whole number"),
        ("handover=maybe", "handover='maybe' is not understood"),
        ("privacy=.1", "privacy='.1' is not understood; write privacy=SIGMA:SENSITIVITY"),
        ("privacy=0:1", "sigma=0.0 must be a number above 0"),
        ("bits=8,coding=difference,drop=.1", "drop keeps some"),
    ],
)
def test_careless_text_is_named(text: str, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        Channel.parse(text)


def test_misspelled_faults_get_a_hint() -> None:
    with pytest.raises(UnknownNameError, match="unknown fault 'dorp'; did you mean 'drop'"):
        Channel.parse("dorp=.1")
    with pytest.raises(UnknownNameError, match="unknown fault 'zz'; known are drop, burst"):
        Channel.parse("zz=1")


def test_text_in() -> None:
    text = ("drop=0.1, burst=2,delay=2,jitter=1,noise=1e-3,bits=8,span=4,awake=.5,outage=g2:200-300,outage=g2:400-500,"
            "outage=home[17]:1-2,leave=g3:9,join=g1:4,rule=skip,seed=7,handover=no,mask=10,privacy=.1:2")  # fmt: skip
    assert Channel.parse(text) == Channel(
        drop=0.1, burst=2, delay=2, jitter=1, noise=1e-3, bits=8, span=4, awake=0.5,
        outages={"g2": [(200, 300), (400, 500)], "home[17]": [(1, 2)]}, leaves={"g3": 9}, joins={"g1": 4},
        rule="skip", seed=7, handover=False, mask=10, privacy=Gaussian(0.1, 2.0),
    )  # fmt: skip
    assert Channel.parse("") == Channel.parse(" , ") == Channel()
    assert Channel.parse("bits=4,coding=difference").coding == "difference"
    assert Channel.parse("bits=none").bits is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "perfect channel"),
        ("drop=.3", "drops 30 %"),
        ("drop=.3,burst=5,delay=1", "drops 30 % in bursts of 5, 1 round late"),
        ("delay=1,jitter=3,noise=.001", "1 to 4 rounds late, noise 0.001"),
        ("bits=8,awake=.5", "8 bits on +-8, agents awake 50 %"),
        ("bits=1,coding=difference", "1 bit differences"),
        ("outage=g2:200-300,outage=g2:4-5,leave=a:3,handover=no,rule=skip",
         "g2 out in rounds 200-300 and 4-5, a leaves at 3, without handing over, rule skip"),
        ("outage=a:1-2,outage=b:1-2,outage=c:1-2,outage=d:1-2,join=e:2", "4 outages, e joins at 2"),
        ("mask=10,privacy=.5:1", "masks of 10, private noise 0.5"),
    ],
)  # fmt: skip
def test_text_out(text: str, words: str) -> None:
    assert str(Channel.parse(text)) == words


def test_kinds_of_fault() -> None:
    assert Channel().faults == ()
    assert Channel().is_ideal
    assert Channel(drop=0.1).faults == ("drop",)
    assert Channel(drop=0.1, burst=3).faults == ("burst",)
    assert Channel(jitter=1).faults == ("delay",)
    assert Channel(privacy=Gaussian(1.0, 1.0)).faults == ("noise",)
    every = Channel.parse("delay=1,noise=1,bits=3,awake=.5,outage=a:1-2,drop=.1")
    assert every.faults == ("drop", "delay", "outage", "noise", "bits", "async")
    assert Channel(mask=1.0).is_ideal
    assert not Channel(leaves={"a": 3}).is_ideal


def test_outages_in_every_form() -> None:
    assert intervals((1, 2)) == intervals([1, 2]) == intervals([(1, 2)]) == intervals((np.int64(1), 2)) == [(1, 2)]
    assert intervals([(1, 2), (5, 6)]) == [(1, 2), (5, 6)]


def test_whole_numbers_of_any_type_are_kept_as_int() -> None:
    channel = Channel(delay=2.0, jitter=np.int32(1), seed=np.float64(3))  # type: ignore[arg-type]
    assert [type(value) for value in (channel.delay, channel.jitter, channel.seed)] == [int] * 3
    assert channel == Channel(delay=2, jitter=1, seed=3)


def test_a_text_is_asked_for() -> None:
    with pytest.raises(ModelError, match=r"expected a text such as 'drop=0\.1,delay=2', got None"):
        Channel.parse(None)  # type: ignore[arg-type]
