"""What all tests share: they read English, whatever the language of the machine."""

import os

os.environ["UNSTUCK_LANG"] = "en"
