"""The fault table: every row ends with one batch billed, every request accounted for once, and no person needed.

Each row that others lose money or answers on (a lost reply, a crash at each point, polls that fail, rows that vanish or
come twice, a cut download) is one test here; ``judge`` compares the books with the provider's own bill.
"""

from collections import Counter

import msgspec
import pytest
from life import GPT, MODEL, Life

from lowtide import points
from lowtide.store import shards
from lowtide.worker import collecting
from lowtide_simulator.faults import Rule
from lowtide_simulator.world import Turnaround

CREATE = "POST /v1/messages/batches"
RETRIEVE = "GET /v1/messages/batches/{id}"
RESULTS = "GET /v1/messages/batches/{id}/results"


def faulty(*rules: dict, **more: object) -> Life:
    return Life(**{"seed": 5, "widths": (12,), "rules": msgspec.convert(list(rules), tuple[Rule, ...]), **more})


def ends_well(life: Life, *, batches: int = 1, answered: int = 12) -> None:
    report = life.live()
    life.judge(report)
    assert report.state == "done"
    assert report.answered == answered
    assert len(life.world.batches) == batches
    assert report.nothing_bought == {}
    life.bury()


def test_create_accepted_and_the_connection_cut():
    """The row where seven of nine peers paid twice."""
    ends_well(faulty({"on": CREATE, "fault": "lost_reply_after_commit", "times": 1}))


def test_create_accepted_and_the_listing_slow():
    """The batch shows up in the listing only after a while, within the settle delay."""
    ends_well(
        faulty(
            {"on": CREATE, "fault": "lost_reply_after_commit", "times": 1},
            {"on": CREATE, "fault": "slow_list", "seconds": 60, "times": 1},
        )
    )


def test_more_answers_than_go_into_one_statement_and_a_cut_download():
    cut = {"on": RESULTS, "fault": "cut_results_after_bytes", "bytes": 60_000, "times": 1}
    ends_well(faulty(cut, widths=(130,)), answered=130)


def test_long_answers_land_a_few_at_a_time(monkeypatch):
    sizes = []
    land = shards.land

    def counted(*words, rows, **more):
        sizes.append(len(rows))
        land(*words, rows=rows, **more)

    monkeypatch.setattr(shards, "land", counted)
    monkeypatch.setattr(collecting, "BLOCK_BYTES_MAX", 1)
    ends_well(faulty())
    assert sizes == [1] * 12


def test_create_never_arrived():
    ends_well(faulty({"on": CREATE, "fault": "cut_before_commit", "times": 2}))


@pytest.mark.parametrize("status", [500, 504, 429, 529])
def test_create_refused_for_now(status):
    ends_well(faulty({"on": CREATE, "fault": "status", "status": status, "times": 3}))


POINTS = sorted(name for name in points.POINTS if not name.startswith("reconcile"))
BY_UPLOAD = {"upload.after_reply"}  # passed only where lines are uploaded before a batch is created
OF_CALLS = [name for name in POINTS if name.startswith(("pack", "call", "deliver", "finish"))]


@pytest.mark.parametrize(
    ("model", "point"),
    [
        *((MODEL, point) for point in POINTS if point not in BY_UPLOAD),
        *((GPT, point) for point in POINTS),
    ],
)
def test_killed_at_every_point(model, point):
    """Killed once at each named point, and started again."""
    life = Life(seed=9, widths=(6, 2), models=(model,), crash_at={point: 1})
    report = life.live()
    life.judge(report)

    assert life.crashes == 1, f"{point} was never passed"
    assert report.answered == 8
    assert len(life.world.batches) + len(life.world.openai.batches) == 2
    life.bury()


@pytest.mark.parametrize(
    ("route", "point"),
    [
        *(("realtime", point) for point in OF_CALLS),
        *(("2h", point) for point in OF_CALLS if point.startswith("call")),
    ],
)
def test_killed_at_every_point_of_real_time(route, point):
    """The second time: a block of many calls, not the first of its kind alone. Only what was in flight is a doubt."""
    life = Life(
        seed=9, widths=(6, 2), models=(GPT,), crash_at={point: 2 if point.startswith("call") else 1},
        settings={"route": route},
    )  # fmt: skip
    report = life.live()
    life.judge(report)

    assert life.crashes == 1, f"{point} was never passed"
    assert report.answered == 8
    assert len(life.world.openai.batches) == 0
    assert bool(report.nothing_bought) is (point in ("call.after_intent", "call.after_reply")), "else nothing is unsure"
    life.bury()


@pytest.mark.parametrize("point", ["reconcile.after_list", "reconcile.after_outcome"])
def test_killed_while_reconciling(point):
    life = faulty({"on": CREATE, "fault": "lost_reply_after_commit", "times": 1}, crash_at={point: 1})
    ends_well(life)
    assert life.crashes == 1


def test_several_shards_of_equal_size_in_flight():
    """The ambiguous case: nine shards of two, replies lost again and again, killed at each create's outcome."""
    life = Life(
        seed=21,
        widths=(19,),
        settings={"batch_requests_max": 2},
        rules=msgspec.convert(
            [{"on": CREATE, "fault": "lost_reply_after_commit", "times": 5, "probability": 0.6}], tuple[Rule, ...]
        ),
        crash_at={"submit.after_reply": 2, "submit.after_intent": 3, "poll.after_reply": 1},
    )
    ends_well(life, batches=9, answered=19)
    assert life.crashes == 3


def test_nine_polls_in_a_row_answer_500():
    ends_well(faulty({"on": RETRIEVE, "fault": "status", "status": 500, "times": 9}))


def test_a_404_soon_after_the_create_passes():
    ends_well(faulty({"on": RETRIEVE, "fault": "status", "status": 404, "times": 3}))


def test_rows_that_never_come_are_bought_again_and_the_loss_is_named():
    """Five rows counted as finished and never in the results: held by name, asked for again, nothing silent."""
    life = faulty({"on": CREATE, "fault": "rows_missing", "rows": 5, "times": 1})
    report = life.live()
    life.judge(report)

    assert report.answered == 12
    assert set(report.nothing_bought) == {"row_missing"}
    assert len(life.world.batches) == 2
    assert Counter(len(batch.columns.custom_ids) for batch in life.world.batches.values()) == {11: 1, 5: 1}
    life.bury()


OPENAI_CREATE = "POST /v1/batches"


def theirs(*rules: dict, **more: object) -> Life:
    """A life of OpenAI's batches."""
    return faulty(*rules, models=(GPT,), **more)


def ends_well_there(life: Life, *, batches: int = 1) -> None:
    report = life.live()
    life.judge(report)
    assert report.state == "done"
    assert report.answered == 12
    assert len(life.world.openai.batches) == batches
    assert report.nothing_bought == {}
    life.bury()


@pytest.mark.parametrize("fault", ["lost_reply_after_commit", "cut_before_commit"])
def test_an_openai_create_whose_reply_was_lost_is_found_by_its_token(fault):
    ends_well_there(theirs({"on": OPENAI_CREATE, "fault": fault, "times": 1}))


@pytest.mark.parametrize("fault", ["lost_reply_after_commit", "cut_before_commit"])
def test_an_upload_whose_reply_was_lost_is_made_again(fault):
    """It costs nothing: only the batch that names the file does."""
    ends_well_there(theirs({"on": "POST /v1/files", "fault": fault, "times": 2}))


def test_files_that_come_late_are_waited_for():
    ends_well_there(theirs({"on": OPENAI_CREATE, "fault": "output_file_late", "seconds": 4000, "times": 1}))


def test_files_that_come_late_are_waited_for_also_when_somebody_canceled_the_batch():
    """What had finished is paid and read, the rest goes out again."""
    life = theirs(
        {"on": OPENAI_CREATE, "fault": "output_file_late", "seconds": 4000, "times": 1},
        {"on": OPENAI_CREATE, "fault": "canceled_by_other", "seconds": 900, "times": 1},
        options={"turnaround": Turnaround.parse("1800")},
    )
    ends_well_there(life, batches=2)


def test_a_batch_of_which_every_line_failed_has_only_an_error_file():
    life = theirs(
        {
            "on": OPENAI_CREATE,
            "fault": "items_errored",
            "share": 1,
            "times": 1,
            "error_type": "server_error",
            "status": 500,
        }
    )
    ends_well_there(life, batches=2)


def test_what_is_made_in_the_background_and_lost_is_a_doubt():
    """Worked off, billed, and not to be found: bought again under a second hold, and the first one names it."""
    life = theirs({"on": "POST /v1/responses", "fault": "background_lost", "nth": 3}, settings={"route": "2h"})
    report = life.live()
    life.judge(report)

    assert report.answered == 12
    assert set(report.nothing_bought) == {"doubt"}
    life.bury()


def test_rows_that_miss_one_download_come_with_the_next():
    ends_well(faulty({"on": RESULTS, "fault": "rows_missing", "rows": 5, "times": 2}))


def test_rows_that_come_twice_count_once():
    ends_well(faulty({"on": RESULTS, "fault": "rows_twice", "rows": 5}))


def test_errored_rows_are_retried_alone():
    life = faulty({"on": CREATE, "fault": "items_errored", "share": 0.5, "times": 1, "error_type": "api_error"})
    report = life.live()
    life.judge(report)

    assert report.answered == 12
    sizes = [len(batch.columns.custom_ids) for batch in life.world.batches.values()]
    assert sizes[0] == 11
    assert 0 < sizes[1] < 11
    life.bury()


def test_rows_that_can_never_succeed_are_not_retried():
    life = faulty(
        {"on": CREATE, "fault": "items_errored", "share": 0.5, "times": 1, "error_type": "invalid_request_error"}
    )
    report = life.live()
    life.judge(report)

    assert report.failed > 0
    assert report.answered + report.failed == 12
    assert len(life.world.batches) == 1
    life.bury()


def test_expired_rows_go_out_again():
    life = faulty({"on": CREATE, "fault": "items_expired", "share": 0.5, "times": 1})
    report = life.live()
    life.judge(report)

    assert report.answered == 12
    assert len(life.world.batches) == 2
    life.bury()


@pytest.mark.parametrize(("rows", "step"), [(1, 1), (4, 29)])
def test_a_download_cut_at_every_byte(rows, step):
    """One download after another cut a little later: every byte of one row, and many places between four."""
    whole = Life(seed=3, widths=(rows + 1,))
    whole.live()
    batch = next(iter(whole.world.batches.values()))
    size = sum(len(line) for line in batch.lines(whole.world.ids))
    whole.bury()
    cuts = [
        {"on": RESULTS, "fault": "cut_results_after_bytes", "bytes": position, "nth": number, "times": 1}
        for number, position in enumerate(range(0, size, step), start=1)
    ]
    ends_well(faulty(*cuts, seed=3, widths=(rows + 1,)), answered=rows + 1)


def test_results_that_vanish_for_a_while():
    ends_well(faulty({"on": RESULTS, "fault": "results_vanish", "times": 5}))


def test_a_results_url_of_another_host_is_never_followed():
    ends_well(faulty({"on": RETRIEVE, "fault": "wrong_host"}))


def test_a_late_twin_is_found_and_booked_by_its_name():
    """A create whose reply was lost shows up long after the settle delay: paid twice by the provider, and named."""
    life = faulty(
        {"on": CREATE, "fault": "lost_reply_after_commit", "times": 1},
        {"on": CREATE, "fault": "delay", "seconds": 200, "times": 1},
        options={"turnaround": Turnaround.parse("1500-1500")},
        twins_expected=True,
    )
    report = life.live()
    life.judge(report)

    assert report.answered == 12
    assert set(report.nothing_bought) == {"duplicate"}
    life.bury()


@pytest.mark.parametrize("seconds", ["40-60", "3000-4000"])
@pytest.mark.parametrize("fault", ["lost_reply_after_commit", "cut_before_commit"])
def test_two_stores_on_one_key_do_not_take_each_others_batches(fault, seconds):
    """The other store's batch of the same size is newer and unknown to us: looked into when over, and left alone."""
    life = faulty(
        {"on": CREATE, "fault": fault, "nth": 2, "times": 1},
        options={"turnaround": Turnaround.parse(seconds)},
        stranger_at="submit.after_intent",
    )
    report = life.live()
    life.judge(report)

    assert report.answered == 12
    assert len(life.world.batches) == 2, "the stranger's and ours"
    life.bury()


def test_a_lost_real_time_reply_is_a_doubt_with_a_name():
    life = faulty({"on": "POST /v1/messages", "fault": "lost_reply_after_commit", "times": 1})
    report = life.live()
    life.judge(report)

    assert report.answered == 12
    assert set(report.nothing_bought) == {"doubt"}
    assert [hold.reason for hold in report.holds] == ["doubt"]
    life.bury()


def test_a_cap_below_the_ceiling_goes_in_rounds_and_is_never_passed():
    life = Life(seed=4, widths=(40,), cap_share=0.2)
    report = life.live()
    life.judge(report)

    assert report.answered == 40
    assert len(life.world.batches) > 1
    life.bury()
