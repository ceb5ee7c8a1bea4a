"""Connectors: one module for each kind of system. They import neither Django nor the hub."""
