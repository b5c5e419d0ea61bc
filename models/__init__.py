"""Shipped models: each file defines ``build(**options) -> gridmodel.Model``, and the command line knows its name."""
