"""Tables and lists as owners ship them."""

import pytest

from data_pipelines.native import image_index, json_list, table, wrong_layout
from unimedvlp.errors import UserError


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_table_reads_by_name_in_any_encoding(tmp_path, encoding, end):
    path = tmp_path / "a.csv"
    path.write_bytes(end.join([" b ,a", '" x, ""y"" ",caf\xe9', "NaN,", '"two\nlines",1']).encode(encoding))
    assert list(table(path, ("a", "b"))) == [
        {"b": 'x, "y"', "a": "café"},
        {"b": "", "a": ""},
        {"b": "two\nlines", "a": "1"},
    ]


def test_a_missing_column_says_what_was_expected_and_found(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("uid,text\n1,x\n")
    with pytest.raises(UserError, match=r"a.csv: no column findings; expected uid, findings; found uid, text"):
        list(table(path, ("uid", "findings")))


def test_short_rows_have_empty_cells(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("a,b\n1\n")
    assert list(table(path, ("a",))) == [{"a": "1", "b": ""}]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not JSON"),
        ("{}", "expected a list"),
        ('[{"q": 1}, {"a": 1}]', "item 1 has no q"),
        ("[3]", "item 0 has no q"),
    ],
)
def test_bad_json_names_the_place(tmp_path, text, message):
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(UserError, match=message):
        json_list(path, ("q",))


def test_layout_error_lists_what_is_there(tmp_path):
    for i in range(10):
        (tmp_path / f"f{i}").touch()
    assert str(wrong_layout(tmp_path, "a.csv")).endswith(
        "expected a.csv; found f0, f1, f2, f3, f4, f5, f6, f7 and 2 more"
    )


def test_image_index_takes_images_only(tmp_path):
    for name in ("a.png", "b.dcm.JPG", "c.txt"):
        (tmp_path / name).touch()
    assert sorted(image_index([tmp_path / "absent", tmp_path])) == ["a", "b.dcm"]
