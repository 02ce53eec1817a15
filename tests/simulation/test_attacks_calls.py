"""Attacks on what is promised of real-time calls: replies that are no answers, limits that are met, files that fill up.

As in ``test_attacks``: small lives judged by the simulator's bill; each test here once broke something.
"""

import pytest
from life import Life

from lowtide.store import segments


@pytest.mark.parametrize("records", [2, 3])
def test_an_answer_is_kept_when_its_file_fills_up_while_replies_are_settled(monkeypatch, records):
    """The full file was closed before its last answers were written to it: they were paid, and could not be read."""
    monkeypatch.setattr(segments, "RECORDS_PER_BLOCK", records)
    monkeypatch.setattr(segments, "SEGMENT_BYTES_MAX", 1000)
    life = Life(seed=61, widths=(9, 2), settings={"route": "realtime"})
    report = life.live()
    assert (report.state, report.answered) == ("done", 11)
    life.judge(report)
    assert len(list((life.folder / "store" / "segments").iterdir())) > 4, "files filled up"
    life.bury()
