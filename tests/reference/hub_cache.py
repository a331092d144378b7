"""Imitates the Hugging Face hub, and reads and writes its cache with Python's `huggingface_hub`.

kernel/models/tests/hub_cache.rs uses it to check that offmodel and Python share one cache. Commands:

- `serve FOLDER` serves the files of FOLDER on loopback as the model `org/model` of the hub, prints its address, and
  ends when its standard input does;
- `download` fills the cache in HF_HOME from HF_ENDPOINT, as a user of `transformers` does, and then checks with
  `huggingface_hub` that the cache is complete;
- `load` loads the model from the cache alone; HF_HUB_OFFLINE must be set.

`download` and `load` print, as JSON, the logits of some tokens and the tokens of a text.

    python3 -m venv venv
    venv/bin/pip install torch==2.11.0 transformers==5.24.0 safetensors numpy
    OFFMODEL_REFERENCE_VENV=$PWD/venv cargo nextest run -p offmodel-models -E 'binary(hub_cache)'
"""

import hashlib
import http.server
import json
import pathlib
import sys
import threading
import urllib.parse

REPOSITORY, COMMIT = "org/model", "0123456789abcdef0123456789abcdef01234567"
PATTERNS = ["*.json", "*.safetensors"]
TOKENS = [3, 1, 4, 1, 5, 9, 2, 6]
TEXT = "<15>"


class Hub(http.server.BaseHTTPRequestHandler):
    """Implements the part of the hub's API that loading one model uses."""

    files: dict[str, bytes] = {}

    def hash(self, name: str) -> str:
        content = self.files[name]
        if name.endswith(".safetensors"):
            return hashlib.sha256(content).hexdigest()
        return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()

    def respond(self, status: int, body: bytes = b"", kind: str = "application/json", **headers: str) -> None:
        self.send_response(status)
        for name, value in (headers | {"Content-Length": str(len(body)), "Content-Type": kind}).items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def sibling(self, name: str) -> dict:
        size = len(self.files[name])
        lfs = {"sha256": self.hash(name), "size": size, "pointerSize": 133} if name.endswith(".safetensors") else None
        return {"rfilename": name, "size": size, "blobId": self.hash(name)[:40]} | ({"lfs": lfs} if lfs else {})

    def tree(self, name: str) -> dict:
        sibling = self.sibling(name)
        lfs = {"lfs": sibling["lfs"] | {"oid": sibling["lfs"]["sha256"]}} if "lfs" in sibling else {}
        return {"type": "file", "path": name, "size": sibling["size"], "oid": sibling["blobId"]} | lfs

    def do_GET(self) -> None:
        path = urllib.parse.unquote(urllib.parse.urlparse(self.path).path).strip("/")
        api = f"api/models/{REPOSITORY}"
        if path == api or path.startswith(f"{api}/revision/"):
            siblings = [self.sibling(name) for name in self.files]
            return self.respond(200, json.dumps({"id": REPOSITORY, "sha": COMMIT, "siblings": siblings}).encode())
        if path.startswith(f"{api}/tree/"):
            return self.respond(200, json.dumps([self.tree(name) for name in self.files]).encode())
        revision, _, name = path.removeprefix(f"{REPOSITORY}/resolve/").partition("/")
        if not path.startswith(f"{REPOSITORY}/resolve/") or revision not in ("main", COMMIT) or name not in self.files:
            return self.respond(404, X_Error_Code="EntryNotFound" if "/resolve/" in path else "RepoNotFound", X_Repo_Commit=COMMIT)
        self.respond(200, self.files[name], "application/octet-stream", ETag=f'"{self.hash(name)}"', X_Repo_Commit=COMMIT,
                    X_Linked_Etag=f'"{self.hash(name)}"', X_Linked_Size=str(len(self.files[name])))

    do_HEAD = do_GET

    def log_message(self, *_: object) -> None:
        pass


def serve(folder: pathlib.Path) -> None:
    Hub.files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    sys.stdin.read()


def load() -> None:
    import torch
    import transformers

    model = transformers.AutoModelForCausalLM.from_pretrained(REPOSITORY, dtype=torch.float32).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(REPOSITORY)
    with torch.no_grad():
        logits = model(torch.tensor([TOKENS])).logits[0].flatten().tolist()
    print(json.dumps({"logits": logits, "tokens": tokenizer(TEXT, add_special_tokens=False).input_ids}))


def check_cache() -> None:
    import huggingface_hub

    snapshot = pathlib.Path(huggingface_hub.snapshot_download(REPOSITORY, local_files_only=True, allow_patterns=PATTERNS))
    assert snapshot.name == COMMIT, snapshot
    found = huggingface_hub.scan_cache_dir()
    assert not found.warnings and not found.incomplete_files, found
    [repository] = found.repos
    [revision] = repository.revisions
    assert (repository.repo_id, revision.commit_hash, set(revision.refs)) == (REPOSITORY, COMMIT, {"main"}), repository
    blobs = {file.blob_path.name for file in revision.files}
    on_disk = {path.name for path in (repository.repo_path / "blobs").iterdir()}
    assert blobs == on_disk, on_disk ^ blobs


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["serve", folder]:
            serve(pathlib.Path(folder))
        case ["download"]:
            load()
            check_cache()
        case ["load"]:
            check_cache()
            load()
        case _:
            sys.exit(__doc__)
