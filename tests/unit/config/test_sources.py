"""What a reload compares: what definitions say, and what their secret files hold."""

import pytest

METHOD = 'auth: {{type: {auth}}}\n    base_url: "https://api.example.com"\n    methods: {{a: {{method: POST, path: /, {member}}}}}'


@pytest.mark.parametrize("member", ['headers: {X-Key: "${file:key}"}', 'body: {key: "${file:key}"}'], ids=["header", "body"])
def test_a_method_differs_when_its_secret_file_does_and_its_source_does_not_hold_the_secret(load, tmp_path, member):
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    text = f"integrations:\n  api:\n    {METHOD.format(auth='none', member=member)}\n"
    found = []
    for content in ("planted-first-secret", "planted-second-secret", "planted-second-secret"):
        (secrets / "key").write_text(content)
        found.append(load(text, client=False, secrets=secrets).sources["api"])
    assert found[0] != found[1] == found[2]
    assert "planted" not in str(found)
