"""The languages that reports, pages and the command line are read in.

Records, and the forms that machines read, are in English. A sentence is translated where it meets a reader: by its
whole text, or by the template of the f-string that made it.
"""

from unstuck.languages.choosing import ENGLISH, LANGUAGES, current, in_english, language_of, use
from unstuck.languages.translating import FOLDER as FOLDER_OF_CATALOGUES
from unstuck.languages.translating import marked, paragraphs, translated

__all__ = [
    "ENGLISH",
    "FOLDER_OF_CATALOGUES",
    "LANGUAGES",
    "current",
    "in_english",
    "language_of",
    "marked",
    "paragraphs",
    "translated",
    "use",
]
