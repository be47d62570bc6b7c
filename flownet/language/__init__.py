"""Text -> typed graph, with the place of everything in the file: the language of graph files (docs/language.md)."""

from flownet.language.document import Declaration, Document, TrainSection
from flownet.language.expand import expand
from flownet.language.loading import check, load
from flownet.language.schema import schema

__all__ = ["Declaration", "Document", "TrainSection", "check", "expand", "load", "schema"]
