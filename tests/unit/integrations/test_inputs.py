"""What `--input` takes."""

import pytest

from worker.cli.inputs import WrongInput, read_inputs


@pytest.mark.parametrize(
    ("text", "variables"),
    [
        ("Prompt=hello", {"Prompt": "hello"}),
        ("Prompt=", {"Prompt": ""}),
        ("Prompt=a=b:=c", {"Prompt": "a=b:=c"}),
        ("Prompt= two\nlines ", {"Prompt": " two\nlines "}),
        ("Id=7", {"Id": "7"}),
        ("Id:=7", {"Id": 7}),
        ('List:=[1, {"a": null}]', {"List": [1, {"a": None}]}),
        ("Ticket id:=1", {"Ticket id": 1}),
        (" Name = x", {"Name": " x"}),
    ],
)
def test_names_with_texts_and_json(text, variables):
    assert read_inputs([text]) == variables


def test_the_last_of_one_name_counts():
    assert read_inputs(["a=1", "b=2", "a=3"]) == {"a": "3", "b": "2"}


def test_what_a_file_holds(tmp_path):
    (tmp_path / "text").write_text("\ufeffhello\n", "utf-8")
    (tmp_path / "json").write_text('{"a": 1}', "utf-8")
    assert read_inputs([f"T=@{tmp_path}/text", f"J:=@{tmp_path}/json"]) == {"T": "hello\n", "J": {"a": 1}}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("hello", "--input: write name=text or name:=JSON, not 'hello'"),
        ("=x", "--input: write name=text or name:=JSON, not ''"),
        ("Id:=seven-marker", "--input: Id: the body is not JSON"),
        ("T=@no-such-file", "--input: T: the file 'no-such-file' cannot be read: no such file or directory"),
        ("Promt=x", "--input: there is no variable 'Promt'"),
    ],
)
def test_what_cannot_be_used_is_told_without_its_value(text, sentence):
    with pytest.raises(WrongInput) as wrong:
        read_inputs([text], ["Prompt", "Id", "T"])
    assert str(wrong.value).startswith(sentence)
    assert "marker" not in str(wrong.value)


def test_a_near_name_is_offered():
    with pytest.raises(WrongInput, match="Prompt"):
        read_inputs(["Promt=x"], ["Prompt"])
