"""What all tests share: they read English, and torch starts no threads, which a forked script would wait for."""

import os

os.environ["UNSTUCK_LANG"] = "en"
os.environ["OMP_NUM_THREADS"] = "1"  # before torch is imported
