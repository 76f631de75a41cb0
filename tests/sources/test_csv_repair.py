from __future__ import annotations

import csv
import io

from hypothesis import given
from hypothesis import strategies as st

from bowerbird.sources.csv_repair import records


def read(text: str, num_columns: int = 3, delimiter: str = ",") -> list[object]:
    lines = io.StringIO(text, newline="")
    return [
        record.text if record.fields is None else record.fields
        for record in records(lines, num_columns=num_columns, delimiter=delimiter)
    ]


def test_sound_rows_are_split() -> None:
    assert read('1,"2, or 3",\n4,"say ""hi""",6\r\n') == [["1", "2, or 3", None], ["4", 'say "hi"', "6"]]


def test_line_break_in_quotes_is_part_of_the_field() -> None:
    assert read('1,"two\nlines",3\n4,5,6\n') == [["1", "two\nlines", "3"], ["4", "5", "6"]]


def test_row_that_is_too_short_or_too_long_is_told_apart() -> None:
    assert read("1,2\n3,4,5\n6,7,8,9\n") == ["1,2", ["3", "4", "5"], "6,7,8,9"]


def test_delimiter_at_the_end_of_a_line_is_forgiven() -> None:
    assert read("1,2,3,\n") == [["1", "2", "3"]]


def test_quote_that_is_never_closed_costs_its_own_line_only() -> None:
    assert read('1,"2,3\n4,5,6\n7,8,9\n') == ['1,"2,3', ["4", "5", "6"], ["7", "8", "9"]]


def test_quote_that_is_never_closed_is_found_at_the_end_too() -> None:
    assert read('1,2,3\n4,5,"6\n') == [["1", "2", "3"], '4,5,"6']


def test_unclosed_quote_does_not_swallow_a_later_quoted_row() -> None:
    assert read('1,"2,3\n4,5,6\n7,"8\n9",9\n') == ['1,"2,3', ["4", "5", "6"], ["7", "8\n9", "9"]]


def test_text_after_a_closing_quote_is_broken() -> None:
    assert read('1,"2"x,3\n4,5,6\n') == ['1,"2"x,3', ["4", "5", "6"]]


def test_quote_inside_a_plain_field_is_data() -> None:
    assert read('1,5" pipe,3\n4,5,6\n') == [["1", '5" pipe', "3"], ["4", "5", "6"]]


def test_file_that_ends_in_the_middle_of_a_row_loses_that_row_only() -> None:
    assert read("1,2,3\n4,5") == [["1", "2", "3"], "4,5"]


def test_line_endings_may_be_mixed_and_empty_lines_are_left_out() -> None:
    assert read("1,2,3\r\n\n4,5,6\r7,8,9") == [["1", "2", "3"], ["4", "5", "6"], ["7", "8", "9"]]


FIELD = st.text(alphabet='ab ,;"\n\r\té中', max_size=6).map(str.strip)


@given(st.lists(st.tuples(FIELD, FIELD, FIELD), max_size=8))
def test_what_the_standard_library_writes_is_read_back(rows: list[tuple[str, str, str]]) -> None:
    written = io.StringIO(newline="")
    csv.writer(written, quoting=csv.QUOTE_ALL).writerows(rows)
    assert read(written.getvalue()) == [list(row) for row in rows]


@given(st.text(alphabet='a,"\n', max_size=40))
def test_no_line_is_lost_whatever_comes(text: str) -> None:
    found = list(records(io.StringIO(text, newline=""), num_columns=2, delimiter=","))
    kept = "".join(record.text.replace("\n", "") for record in found)
    assert kept == text.replace("\n", "")
