"""Code tables in route files and in CSV files, and what is wrong with them."""

from __future__ import annotations

import pytest

from tests.tools.every import every
from worker.config import csv_tables
from worker.core.errors import ConfigError

ROUTE = "subscribers: {feed: {client: main, entity: Tickets}}\n"


@pytest.fixture
def table(load, tmp_path):
    """Loads a table from a CSV file with this content."""

    def run(content, name="models.csv"):
        path = tmp_path / "routes" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return dict(load(f"tables: {{models: {name}}}\n{ROUTE}").tables["models"])

    return run


def messages(run, *arguments):
    with pytest.raises(ConfigError) as wrong:
        run(*arguments)
    return [str(problem) for problem in wrong.value.problems]


def test_a_table_in_the_file_has_texts_as_keys_and_values_of_any_type(load):
    routes = load(f'tables:\n  t: {{ACME: 12, 7: seven, "8": 8.5, true: yes, deep: {{a: [1, "${{X}}"]}}}}\n{ROUTE}', environment={"X": "filled"})
    assert dict(routes.tables["t"]) == {"ACME": 12, "7": "seven", "8": 8.5, "true": "yes", "deep": {"a": [1, "filled"]}}


def test_tables_of_all_files_are_shared_and_a_name_is_defined_once(load):
    with pytest.raises(ConfigError, match=r"the table `t` is defined twice; the first is in routes/main\.yaml:6"):
        load("tables: {t: {a: 1}}\n" + ROUTE, other="tables: {t: {a: 1}}\n")


def test_two_columns_are_key_and_value_and_more_make_an_object_by_header(table):
    assert table("code,id\nACME,12\nGLOBEX,014\n\nx,-3\ny,1.5\n") == {"ACME": 12, "GLOBEX": "014", "x": -3, "y": "1.5"}
    assert table("code, id ,name\n7,1,One\n8,,Two\n9,,\n") == {"7": {"id": 1, "name": "One"}, "8": {"name": "Two"}, "9": {}}


@pytest.mark.parametrize("separator", [";", "\t"])
def test_other_separators_of_spreadsheets_are_recognized_by_the_header(table, separator):
    assert table(f"code{separator}id\na,b{separator}1\n") == {"a,b": 1}


@pytest.mark.parametrize("first", ["sep=;\n", "SEP=;\r\n", '"sep=;"\n', "\ufeffsep=;\r\n"])
def test_the_line_that_tells_excel_the_separator_is_no_header(table, first):
    assert table(f"{first}code;id,number\nA;1\n") == {"A": 1}


def test_a_byte_order_mark_is_no_content_and_line_ends_may_be_those_of_windows(table):
    assert table(b"\xef\xbb\xbfcode,id\r\nACME,12\r\n") == {"ACME": 12}
    assert table('code,id\n"two\nlines, quoted",1\n') == {"two\nlines, quoted": 1}


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("code,id\nA,1\nB,2\nA,3\n", ["routes/models.csv:4: the key of this row is in line 2 already"]),
        ("code,id\nA,1\n,2\n", ["routes/models.csv:3: the row has no key: its first cell is empty"]),
        ("code,id\nA,\n", ["routes/models.csv:2: the row has no value: its second cell is empty"]),
        (
            "code,id\nA,1,2\nB\n",
            ["routes/models.csv:2: the row has 3 cells, and the header 2 columns", "routes/models.csv:3: the row has 1 cell, and the header 2 columns"],
        ),
        ("code\nA\n", ["routes/models.csv:1: the header has one column: a table needs a key and at least one value"]),
        ("code,,id\nA,1,2\n", ["routes/models.csv:1: the header has no name for column 2"]),
        ("code,id,id\nA,1,2\n", ["routes/models.csv:1: the header names the column `id` twice"]),
        ("code,url,URL\nA,1,2\n", ["routes/models.csv:1: the columns `url` and `URL` differ only by case or space"]),
        ("sep=|\ncode|id\nA|1\n", ["routes/models.csv:1: the line `sep=` names a separator that is none of comma, semicolon and tab"]),
        ("sep=;\ncode;id\nA;1\nB\n", ["routes/models.csv:4: the row has 1 cell, and the header 2 columns"]),
        ("", ["routes/models.csv: the file is empty: it needs a header and rows"]),
        ("code,id\n", ["routes/models.csv: the file has a header but no rows"]),
        (b"code,id\nM\xfcller,1\n", ["routes/models.csv:2: the line is not UTF-8 text: save the file as UTF-8 (in Excel: CSV UTF-8)"]),
        ("code,id\n".encode("utf-16"), ["routes/models.csv:1: the file is UTF-16: save it as UTF-8 (in Excel: CSV UTF-8)"]),
        ('code,id\n"open,1\n', ["routes/models.csv: the file is not CSV: unexpected end of data"]),
    ],
)
def test_a_wrong_file_is_told_by_line_and_no_cell_is_quoted(table, content, expected):
    assert messages(table, content) == expected


def test_a_table_has_limits(table, monkeypatch):
    monkeypatch.setattr(csv_tables, "MAX_ROWS", 2)
    assert messages(table, "code,id\nA,1\nB,2\nC,3\n") == ["routes/models.csv:4: the file has more than 2 rows, the most that a table may have"]
    monkeypatch.setattr(csv_tables, "MAX_BYTES", 10)
    assert messages(table, "code,id\nA,1\nB,2\n") == ["routes/models.csv: the file has more than 10 bytes, the most that a table may have"]


@every(
    ("text", "message"),
    [
        ("nope.csv", "the CSV file `nope.csv` cannot be read: no such file or directory"),
        ("../models.csv", "the table `t` must be a mapping, or the name of a CSV file"),
        ("/etc/passwd.csv", "the table `t` must be a mapping, or the name of a CSV file"),
        ("models.txt", "the table `t` must be a mapping, or the name of a CSV file"),
        ("[1, 2]", "the table `t` must be a mapping from keys to values, or the name of a CSV file"),
        ("{}", "the table `t` must be a mapping from keys to values, or the name of a CSV file"),
        ("{a: }", "`a` has no value"),
        ("{a: '${nope}'}", "is not the name of an environment variable"),
    ],
)
def test_what_is_no_table_is_told(load, text, message):
    assert message in messages(load, f"tables: {{t: {text}}}\n{ROUTE}")[0]


def test_a_table_in_a_folder_below_and_behind_a_link_is_read(load, table, tmp_path):
    assert table("code,id\nA,1\n", "tables/models.csv") == {"A": 1}
    (tmp_path / "routes" / "linked.csv").symlink_to(tmp_path / "routes" / "tables" / "models.csv")  # as Kubernetes mounts files
    assert dict(load(f"tables: {{models: linked.csv}}\n{ROUTE}").tables["models"]) == {"A": 1}


def test_tables_must_be_a_mapping(load):
    assert messages(load, "tables: [1]\n" + ROUTE) == ["routes/main.yaml:6:9: `tables` must be a mapping from names to tables"]


@pytest.mark.parametrize("target", ["own/broker.csv", "/proc/self/environ"])
def test_a_table_that_is_a_link_out_of_the_folder_is_refused_since_it_may_lead_to_the_worker_s_own_secrets(load, tmp_path, target):
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "broker.csv").write_text("user,password\nadmin,hidden-away\n")
    (tmp_path / "routes").mkdir()
    (tmp_path / "routes" / "leak.csv").symlink_to(tmp_path / target)
    told = messages(load, f"tables: {{models: leak.csv}}\n{ROUTE}")
    assert told == ["routes/main.yaml:6:18: the CSV file `leak.csv` is a link that leads out of the folder of route files: put the file itself there"]


def test_a_table_in_a_folder_that_is_a_link_out_is_refused(load, tmp_path):
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "broker.csv").write_text("user,password\nadmin,hidden-away\n")
    (tmp_path / "routes").mkdir()
    (tmp_path / "routes" / "below").symlink_to(tmp_path / "own")
    assert "is a link that leads out" in messages(load, f"tables: {{models: below/broker.csv}}\n{ROUTE}")[0]
