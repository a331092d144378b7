"""Starts JupyterLab on a free port of the loopback interface and runs a browser scenario on it.

    lab.py SCENARIO.mjs SCREENSHOT_FOLDER

Needs `jupyterlab` beside this Python, `node`, Chromium, and playwright-core in OFFMODEL_TEST_NODE.
"""

import json
import os
import pathlib
import secrets
import shutil
import subprocess
import sys
import tempfile
import time

import nbformat

HERE = pathlib.Path(__file__).resolve().parent
NOTEBOOKS = HERE.parents[1] / "notebooks"
BUTTONS = [
    "let kept = 5;",
    'println!("started");\nsleep(std::time::Duration::from_secs(600))?;',
    "kept + 1",
    "20 + 2",
    "",
]
# The cells of a sweep's notebook, with their tags.
SWEPT = [
    ("let x: i64 = 0;", ["parameters"]),
    ('println!("trial of {x}");', []),
    ('let frame = df!("step" => [1i64, 2, 3], "loss" => [x * 3, x * 2, x * 3])?;\nframe.clone()', []),
    ('grouped_bars(&frame, &BarAxes::new("step", "loss").title("Loss by step"))?', []),
    ('let number: i64 = "a number".parse()?;', ["raises-exception"]),
]


def main():
    scenario, screenshots = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder) / "notebooks"
        shutil.copytree(NOTEBOOKS, root)
        write_notebook(root / "buttons.ipynb", [(cell, []) for cell in BUTTONS])
        if scenario == "executed.mjs":
            execute_trial(root)
        server, address = start(root, pathlib.Path(folder))
        try:
            command = ["node", HERE / scenario, address, screenshots]
            sys.exit(subprocess.run(command, timeout=900).returncode)
        finally:
            server.terminate()
            server.wait(30)


def execute_trial(root):
    """Runs a sweep of one trial, and copies its executed notebook to `executed.ipynb`."""
    write_notebook(root / "swept.ipynb", SWEPT)
    sweep = 'version = 1\nnotebook = "swept.ipynb"\n[grid]\nx = [3]\n'
    (root / "swept.toml").write_text(sweep)
    command = [os.environ["OFFMODEL"], "sweep", "swept.toml"]
    subprocess.run(command, cwd=root, check=True, timeout=300)
    (executed,) = root.glob("runs/swept/trial-*/attempt-1/out.ipynb")
    shutil.copy(executed, root / "executed.ipynb")


def write_notebook(path, cells):
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(cell, metadata={"tags": tags}) for cell, tags in cells]
    )
    notebook.metadata["kernelspec"] = {
        "name": "offmodel",
        "display_name": "Rust (offmodel)",
        "language": "rust",
    }
    nbformat.write(notebook, path)


def start(root, folder):
    """Starts the server; returns it and its address with the token, once it serves."""
    runtime = folder / "runtime"
    environment = {
        **os.environ,
        "JUPYTER_RUNTIME_DIR": str(runtime),
        "JUPYTER_CONFIG_DIR": str(folder / "config"),
        "JUPYTERLAB_SETTINGS_DIR": str(folder / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(folder / "workspaces"),
        "IPYTHONDIR": str(folder / "ipython"),
    }
    # Without these settings, a dialog asks whether to fetch news.
    settings = folder / "settings" / "@jupyterlab" / "apputils-extension"
    settings.mkdir(parents=True)
    no_news = {"fetchNews": "false", "checkForUpdates": False}
    (settings / "notification.jupyterlab-settings").write_text(json.dumps(no_news))
    options = {
        "ServerApp.ip": "127.0.0.1",
        "ServerApp.port": "0",
        "ServerApp.root_dir": root,
        "IdentityProvider.token": secrets.token_hex(16),
        # The scenarios read the notebook's model from the page.
        "LabApp.expose_app_in_browser": "True",
        # Nothing leaves the loopback interface.
        "LabApp.check_for_updates_class": "jupyterlab.NeverCheckForUpdate",
        "LabApp.extension_manager": "readonly",
    }
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"]
    command += [f"--{name}={value}" for name, value in options.items()]
    with open(folder / "log", "w") as log:
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and server.poll() is None:
        for path in runtime.glob("jpserver-*.json"):
            information = json.loads(path.read_text())
            return server, f"{information['url']}?token={information['token']}"
        time.sleep(0.2)
    server.kill()
    sys.exit(f"JupyterLab did not start:\n{(folder / 'log').read_text()}")


if __name__ == "__main__":
    main()
