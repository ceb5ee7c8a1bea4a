import io

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from tests.syncs.conftest import by, run_now, sandbox, sandbox_server

__all__ = ["by", "run_now", "sandbox", "sandbox_server"]

CRM = """\
version: 1
systems:
  CRM:
    connector: rest
    settings:
      base_url: https://crm.example.com
      auth: {type: bearer, token: "${ENV:CRM_TOKEN}"}
      entities:
        - name: contacts
          fields: [{name: id, read_only: true}, {name: name, max_length: 40}, {name: email}, {name: updated_at, type: datetime}]
          cursor_field: updated_at
          list: {path: /contacts, changed_since: {parameter: since}}
          create: {path: /contacts}
    entities: [contacts]
  Shop:
    connector: rest
    settings:
      base_url: https://shop.example.com
      auth: {type: token_call, path: /token, values: {user: "${ENV:SHOP_USER}", password: "${ENV:SHOP_PASSWORD}"}}
      entities:
        - name: customers
          fields: [{name: id, read_only: true}, {name: name, required: true}, {name: mail}]
          list: {path: /customers}
          create: {path: /customers}
          update: {method: PATCH, path: "/customers/{key}"}
    entities: [customers]
mappings:
  Contacts to customers:
    source: CRM/contacts
    target: Shop/customers
    fields:
      - {target: name, source: name, steps: [{transform: trim}]}
      - {target: mail, source: email}
    match: [[mail]]
syncs:
  Contacts → customers:
    mapping: Contacts to customers
    mode: incremental
    interval_seconds: 60
"""
SECRETS = {"CRM_TOKEN": "t-secret", "SHOP_USER": "hub", "SHOP_PASSWORD": "p-secret"}


@pytest.fixture
def secrets(monkeypatch):
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    return SECRETS


@pytest.fixture
def manage(tmp_path):
    """manage("config", "apply", text, ...) → (exit code, standard output, standard error); texts of several lines are put into files."""

    def run(*words):
        out, err = io.StringIO(), io.StringIO()
        arguments = []
        for word in words:
            if "\n" in word:
                file = tmp_path / f"{len(arguments)}.yaml"
                file.write_text(word)
                word = str(file)
            arguments.append(word)
        try:
            call_command(*arguments, stdout=out, stderr=err)
        except SystemExit as end:
            return end.code, out.getvalue(), err.getvalue()
        except CommandError as error:
            return error.returncode, out.getvalue(), err.getvalue() + str(error)
        return 0, out.getvalue(), err.getvalue()

    return run
