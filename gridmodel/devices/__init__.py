"""Devices over a horizon, declared with physical arguments, and days of data for them."""

from gridmodel.devices.battery import battery
from gridmodel.devices.days import synthetic_days
from gridmodel.devices.ev import ev
from gridmodel.devices.generator import generator
from gridmodel.devices.heat_pump import heat_pump
from gridmodel.devices.load import load
from gridmodel.devices.pv import pv
from gridmodel.devices.simbench import simbench_days

__all__ = ["battery", "ev", "generator", "heat_pump", "load", "pv", "simbench_days", "synthetic_days"]
