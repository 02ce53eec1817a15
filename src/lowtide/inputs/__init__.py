"""Bytes become requests here: providers' batch lines, and table rows with a template. Bytes in, ``Request | Problem`` out.

Nothing here opens a file or knows a folder: callers bring lines, the name they are known by, and the template's text.
Everything is a stream; what is kept is one line (or one row) and a few counters, so a million of them need no more
memory than one. The laws: a body reaches the provider byte for byte as it was given (promise 9), every problem is
reported and none stops the reading, and every limit has a name. Duplicate keys are the store's concern.
"""

from lowtide.inputs.batch_format import (
    LINE_BYTES_MAX,
    OBJECT_BYTES_MAX,
    BatchForm,
    batch_form,
    batch_lines,
    batch_object,
)
from lowtide.inputs.row_templates import RowTemplate, row_template
from lowtide.inputs.tables import RowOptions, csv_requests, jsonl_requests

__all__ = [
    "LINE_BYTES_MAX",
    "OBJECT_BYTES_MAX",
    "BatchForm",
    "RowOptions",
    "RowTemplate",
    "batch_form",
    "batch_lines",
    "batch_object",
    "csv_requests",
    "jsonl_requests",
    "row_template",
]
