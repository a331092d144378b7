//! The installed kernel under the tools that researchers use: Jupyter's conformance tests, nbclient,
//! papermill, `jupyter console`, and JupyterLab in Chromium.
//!
//! They need the packages in `tests/requirements.txt`, in the virtual environment that
//! `OFFMODEL_TEST_VENV` names or for `python3`. Tests whose tools are missing are skipped.

#![expect(clippy::expect_used, reason = "a test that cannot go on may panic")]

mod doctor;
mod installation;
mod jupyter;
mod jupyterlab;
