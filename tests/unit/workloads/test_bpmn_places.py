"""Where documents lie: names kept where they are safe, changed with a hash where they are not."""

import pytest

from lowtide.workloads.bpmn.places import Places, safe_component


@pytest.mark.parametrize("name", ["order.bpmn", "Prüfung", "订单处理.bpmn", "מסמך", "a b", "x~2", "🚀", "_", "con1"])
def test_what_is_safe_stays_as_it_is(name: str) -> None:
    assert safe_component(name) == name


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a/b", "a_b~c14cddc0"),
        ("CON", "_CON~a3dbc4b6"),
        ("nul.md", "_nul~"),
        (".hidden", "_hidden~16924190"),
        ("..", "_~5ec1f7e7"),
        ("", "_~e3b0c442"),
        ("end. ", "end~"),
        ("x" * 300 + ".md", "x" * 50),
        ("\u202egnp.exe", "_gnp~"),
        ("line\nbreak", "line_break~"),
    ],
)
def test_what_is_not_safe_is_changed_and_marked(name: str, expected: str) -> None:
    safe = safe_component(name)
    assert safe.startswith(expected)
    assert len(safe.encode()) <= 120


def test_an_ending_survives_a_change() -> None:
    assert safe_component("a:b.md").endswith(".md")
    assert safe_component("订" * 100 + ".bpmn").endswith(".bpmn")


def test_names_that_only_case_or_accents_tell_apart_both_get_a_hash() -> None:
    places = Places([("A", "x.md"), ("a", "x.md"), ("b\u00e9", "x.md"), ("be\u0301", "x.md"), ("c", "x.md")])
    paths = {str(places.path(name, "x.md")) for name in ("A", "a", "b\u00e9", "be\u0301", "c")}
    assert len({path.casefold() for path in paths}) == 5
    assert "c/x.md" in paths
    assert "A/x.md" not in paths
    assert "a/x.md" not in paths


def test_a_name_that_looks_like_anothers_hash_does_not_take_its_place() -> None:
    disturbed = safe_component("a/b")
    places = Places([("a/b",), (disturbed,)])
    assert places.path("a/b") != places.path(disturbed)


def test_no_node_takes_the_place_of_the_index_page() -> None:
    places = Places([("f.bpmn", "index.md", "epic.md"), ("f.bpmn", "INDEX.MD", "epic.md")])
    assert {str(places.path("f.bpmn", name)).lower() for name in ("index.md", "INDEX.MD")}.isdisjoint(
        {"f.bpmn/index.md"}
    )


def test_folders_have_places_and_strangers_have_none() -> None:
    places = Places([("dir", "f.bpmn", "n", "epic.md")])
    assert str(places.path("dir", "f.bpmn")) == "dir/f.bpmn"
    with pytest.raises(KeyError):
        places.path("dir", "other")
