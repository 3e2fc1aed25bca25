"""The record of a run: one SQLite file, written while it trains, readable at any moment. No torch."""

from unstuck.recording.folder import records_in as records_in
from unstuck.recording.reader import Record as Record
from unstuck.recording.reader import is_record as is_record
from unstuck.recording.reader import open_record as open_record
from unstuck.recording.rows import Epoch as Epoch
from unstuck.recording.rows import RunInfo as RunInfo
from unstuck.recording.rows import Series as Series
from unstuck.recording.schema import LayerEntry as LayerEntry
from unstuck.recording.schema import Notice as Notice
from unstuck.recording.writer import RecordWriter as RecordWriter

__all__ = [
    "Epoch",
    "LayerEntry",
    "Notice",
    "Record",
    "RecordWriter",
    "RunInfo",
    "Series",
    "is_record",
    "open_record",
    "records_in",
]
