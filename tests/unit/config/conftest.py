"""How tests of route files load them."""

from pathlib import Path

import pytest

from worker.config.loader import load_routes

CLIENT = """
clients:
  main:
    url: https://acme.haloitsm.com
    auth: {type: client_credentials, client_id: worker, client_secret: hidden-away}
"""


@pytest.fixture
def load(tmp_path):
    """Loads route files given by name; `client` puts a client called `main` before the first."""

    def run(text="", *, client=True, environment=None, secrets=None, **files):
        directory = tmp_path / "routes"
        directory.mkdir(exist_ok=True)
        if text or client:
            (directory / "main.yaml").write_text((CLIENT if client else "") + text, "utf-8")
        for name, content in files.items():
            (directory / f"{name}.yaml").write_text(content, "utf-8")
        return load_routes(directory, environment or {}, secrets or Path("no-secrets"))

    return run
