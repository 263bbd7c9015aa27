"""Tables and lists as owners ship them."""

import gzip

import pytest

from data_pipelines.native import (
    MISSING,
    OUTSIDE,
    attached,
    image_index,
    image_tree,
    json_lines,
    json_list,
    one_of,
    plain,
    read_text,
    split_name,
    table,
    wrong_layout,
)
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


def test_one_bad_line_does_not_spoil_the_others(tmp_path):
    (tmp_path / "a.txt").write_bytes("caf\xe9\n".encode() + b"caf\xe9 \x93quoted\x94\n")
    assert read_text(tmp_path / "a.txt") == "caf\xe9\ncaf\xe9 \u201cquoted\u201d\n"
    (tmp_path / "b.txt").write_text("caf\xe9", encoding="utf-16")
    assert read_text(tmp_path / "b.txt") == "caf\xe9"


def test_gzip_is_read_and_a_cut_one_named(tmp_path):
    data = gzip.compress(b"a,b\n1,2\n" * 50)
    (tmp_path / "a.csv.gz").write_bytes(data)
    assert one_of(tmp_path, "a.csv") == tmp_path / "a.csv.gz"
    assert next(table(tmp_path / "a.csv.gz", ("a",))) == {"a": "1", "b": "2"}
    for broken in (data[:-12], data[:15] + b"x" + data[16:]):
        (tmp_path / "a.csv.gz").write_bytes(broken)
        with pytest.raises(UserError, match=r"cannot read .*a\.csv\.gz"):
            list(table(tmp_path / "a.csv.gz", ("a",)))
    with pytest.raises(UserError, match=r"expected b\.csv or c\.csv; found a\.csv\.gz"):
        one_of(tmp_path, "b.csv", "c.csv")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('a,b\n1,"2\n3,4\n', r"line 3: .*cut off"),
        ("a,b\n1,2\n1,2,3\n", r"line 3 has 3 cells for 2 columns"),
        ("", "found an empty file"),
        ("a,b\n", "has no row below its header"),
    ],
)
def test_broken_tables_name_the_line(tmp_path, text, message):
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(UserError, match=message):
        list(table(tmp_path / "a.csv", ("a",)))


def test_bars_tabs_and_headers(tmp_path):
    (tmp_path / "a.txt").write_text('s1|is "this?|none\n')
    assert list(table(tmp_path / "a.txt", ("q",), "|", ("id", "q", "a"), absent=())) == [
        {"id": "s1", "q": 'is "this?', "a": "none"}
    ]
    (tmp_path / "a.tsv").write_text('a\tb\n"x\ty"\t\n\n')
    assert list(table(tmp_path / "a.tsv", ("a",), "\t")) == [{"a": "x\ty", "b": ""}]


def test_json_lines_name_the_line(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('\ufeff{"q": 1}\n\n{"q": NaN}\r\n')
    assert [plain(row["q"]) for row in json_lines(path, ("q",))] == ["1", ""]
    for text, message in (('{"q": 1}\n{"q": ', "line 2 is not JSON"), ('{"a": 1}', "line 1 has no q")):
        path.write_text(text)
        with pytest.raises(UserError, match=message):
            list(json_lines(path, ("q",)))


def test_files_outside_the_folder_are_not_read(tmp_path):
    root = tmp_path / "root"
    (root / "sub").mkdir(parents=True)
    (tmp_path / "secret.png").write_bytes(b"secret")
    (root / "sub" / "a.png").write_bytes(b"a")
    (root / "link").symlink_to(tmp_path)
    for name in ("sub/a.png", "sub\\a.png", "./sub/../sub/a.png", str(root / "sub" / "a.png")):
        assert attached(root, name) == (b"a", "")
    for name in (
        "../secret.png",
        str(tmp_path / "secret.png"),
        "/etc/passwd",
        "sub/../../secret.png",
        "..",
        "link/../../x",
    ):
        assert attached(root, name) == (b"", OUTSIDE)
    for name in ("", "sub", "b.png", "a" * 5000, "a\0b"):
        assert attached(root, name) == (b"", MISSING)


def test_split_names():
    assert [split_name(name) for name in ("Training", "val", "validate ", "dev", "TEST", "fold1")] == [
        "train", "validation", "validation", "validation", "test", "",
    ]  # fmt: skip


def test_a_row_that_ends_before_a_needed_column_is_an_error(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("a,b,c\n1,2,3\n4,5\n\n6")
    with pytest.raises(UserError, match=r"a.csv: line 5 ends too early; the file may be cut off"):
        list(table(path, ("b",)))


def test_a_needed_column_that_occurs_twice_is_an_error(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("a,b,b\n1,2,3\n")
    assert list(table(path, ("a",))) == [{"a": "1", "b": "3"}]
    with pytest.raises(UserError, match="column b occurs more than once"):
        list(table(path, ("a", "b")))


def test_image_tree_takes_the_first_of_equal_names(tmp_path):
    for name in ("b/x.png", "a/x.JPG", "a/c/y.jpeg", "z.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert image_tree(tmp_path) == {"x": "a/x.JPG", "y": "a/c/y.jpeg"}
