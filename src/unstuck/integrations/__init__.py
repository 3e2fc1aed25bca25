"""Callbacks of training frameworks, each in a module of its own that needs only its framework. All are `watch`."""
