"""How the site generator gets the pages that are drawn up from the program."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

sys.path.insert(0, str(Path(__file__).parent))
import pages  # noqa: E402  (beside this file, which is run by its path)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages."""
    for path, content in pages.generated().items():
        files.append(File.generated(config, path, content=content))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Bend the links of pages that are read in the repository too."""
    return str(pages.bent(markdown))
