//! The real `offmodel-kernel` under the tools that researchers use: the Jupyter project's own
//! conformance tests, nbclient, papermill, `jupyter console`, JupyterLab in Chromium.
//!
//! Needs what `tests/requirements.txt` lists: in the virtual environment `OFFMODEL_TEST_VENV`,
//! or beside `python3`. A test whose tools are missing says so and passes.

#![expect(clippy::expect_used, reason = "a test that cannot go on may panic")]

mod doctor;
mod installation;
mod jupyter;
mod jupyterlab;
