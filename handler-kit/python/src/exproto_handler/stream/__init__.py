"""The ordered stream. Read `lane.py` (one stream), `table.py` (which connection is on which), `connection.py` (what is
shown to whom, and when), `commands.py` (numbers, credits, steps). The rules are those of stream.proto."""

from .lane import StreamService
from .table import Table

__all__ = ["StreamService", "Table"]
