"""Runs a script unchanged, sees what it trains and how, and makes a set-up of it."""
