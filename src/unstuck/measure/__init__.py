"""Measurements: frozen records of plain numbers that know how to measure themselves."""
