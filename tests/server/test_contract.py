"""Another contract changes paths, methods and names, and no other code has to know."""

from __future__ import annotations

from pathlib import Path

import requests

from reconciler.contract import Contract, load_contract
from reconciler.server import running_server

OTHER = """
contract: 2
name: other
operations:
  list_sessions: {known: learned, method: GET, path: /api/personas, encoding: none,
                  fields: {ordering: sort, page: p, size: n, name: q}}
  create_session: {known: learned, method: PUT, path: /api/personas, encoding: json,
                   fields: {name: title, model: engine, prompt: system, temperature: temp, remark: note}}
  update_session: {known: learned, method: PATCH, path: "/api/personas/{session_id}", encoding: json, left_out: reset,
                   fields: {name: title, model: engine, prompt: system, temperature: temp, remark: note}}
  delete_session: {known: learned, method: DELETE, path: "/api/personas/{session_id}", encoding: none, fields: {}}
  list_messages: {known: learned, method: GET, path: "/api/personas/{session_id}/talk", encoding: none,
                  fields: {page: p, size: n}}
  create_message: {known: learned, method: POST, path: "/api/personas/{session_id}/talk", encoding: json,
                   fields: {category: who, content: text, meta: more}}
session:
  session_id: id
  session_token: token
  name: title
  config: config
  model: config.engine
  prompt: config.texts.system
  data: config.data
  parameters: {temperature: config.temp}
  remark: note
message: {id: number, session_id: session, session_token: token, category: who, content: text, meta: more}
"""


def other(tmp_path: Path) -> Contract:
    file = tmp_path / "contract.yaml"
    file.write_text(OTHER)
    return load_contract(file)


def test_another_contract(tmp_path: Path, http: requests.Session) -> None:
    with running_server(None, contract=other(tmp_path)) as server:
        root = server.url + "/api/personas"
        new = {"title": "a", "engine": "m", "system": "Hi", "temp": 1, "note": "n", "max_tokens": 7}
        data = http.put(root, json=new).json()["data"]
        data.pop("token")
        data.pop("created_at")
        data.pop("updated_at")
        assert data == {
            "id": 1,
            "api_id": 70,
            "device_id": None,
            "title": "a",
            "config": {"data": {}, "engine": "m", "texts": {"system": "Hi"}, "temp": 1},
            "note": "n",
        }
        assert http.get(root, params={"q": "b"}).json()["count"] == 0
        assert http.get(root, params={"p": "2"}).status_code == 404
        changed = http.patch(root + "/1", json={"system": "Ho"}).json()["data"]
        assert (changed["config"]["texts"]["system"], changed["config"]["temp"], changed["note"]) == (
            "Ho",
            0.2,
            "",
        )
        message = http.post(root + "/1/talk", json={"who": "user", "text": "hi"}).json()["data"]
        assert (message["who"], message["text"], message["more"]) == ("user", "hi", {})
        assert http.get(root + "/1/talk", params={"n": "1"}).json()["count"] == 1
        assert http.delete(root + "/1").json()["status"] == 200
        assert http.delete(root + "/1").status_code == 404
        assert http.get(server.url + "/v1/session/").status_code == 404
        assert [entry.operation for entry in server.log[:3]] == [
            "create_session",
            "list_sessions",
            "list_sessions",
        ]


def test_a_fixed_path_is_no_session(tmp_path: Path, http: requests.Session) -> None:
    file = tmp_path / "contract.yaml"
    file.write_text(
        OTHER.replace(
            '"/api/personas/{session_id}", encoding: none, fields: {}',
            "/api/personas/gone, encoding: none, fields: {session_id: session_id}",
        )
    )
    with running_server(None, contract=load_contract(file)) as server:
        server.store.insert_session()
        assert http.delete(server.url + "/api/personas/gone").json()["message"] == "缺少参数：session_id"
        assert http.patch(server.url + "/api/personas/gone", json={}).status_code == 405
        assert http.patch(server.url + "/api/personas/1", json={}).status_code == 200


def test_a_contract_without_an_update(tmp_path: Path, http: requests.Session) -> None:
    file = tmp_path / "contract.yaml"
    lines = OTHER.splitlines(keepends=True)
    start = next(n for n, line in enumerate(lines) if "update_session" in line)
    file.write_text("".join(lines[:start] + lines[start + 2 :]))
    with running_server(None, contract=load_contract(file)) as server:
        assert http.patch(server.url + "/api/personas/1", json={}).status_code == 405
