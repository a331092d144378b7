//! Start, interrupt and shutdown.

use std::time::{Duration, Instant};

use jupyter_protocol::Transport;
use offmodel_jupyter::{ConnectionInfo, Shutdown};
use serde_json::json;

use crate::dummy_language::Dummy;
use crate::frontend::{Frontend, loopback};

#[tokio::test]
async fn requests_get_replies_while_the_language_starts_and_the_first_cell_waits() {
    let started = Instant::now();
    let mut frontend = Frontend::start::<Dummy<1500>>().await;
    let language_start = Duration::from_millis(1500);
    frontend.request("kernel_info_request", json!({})).await;
    frontend
        .request("is_complete_request", json!({ "code": "print" }))
        .await;
    assert!(
        started.elapsed() < language_start,
        "{:?}",
        started.elapsed()
    );
    let cell = frontend.send_execute("").await;
    frontend.recv_quiet_cell(&cell, 1).await;
    assert!(started.elapsed() >= language_start);
    frontend.finish().await;
}

#[tokio::test]
async fn every_cell_fails_if_the_language_does_not_start() {
    let mut frontend = Frontend::start::<Dummy<0, false>>().await;
    for count in 1..3 {
        let cell = frontend.send_execute("print 1").await;
        frontend.recv_busy(&cell).await;
        frontend.recv_input(&cell, count).await;
        assert_eq!(frontend.recv(&cell, "error").await["evalue"], "no compiler");
        frontend.recv_idle(&cell).await;
        assert_eq!(
            frontend.recv_reply(&cell, "execute_reply").await["status"],
            "error"
        );
    }
    let completion = frontend
        .request("complete_request", json!({ "code": "p", "cursor_pos": 1 }))
        .await;
    assert_eq!(
        (&completion["status"], &completion["ename"]),
        (&json!("error"), &json!("not ready"))
    );
    frontend.finish().await;
}

#[tokio::test]
async fn an_interrupt_stops_the_running_cell_and_aborts_those_behind_it() {
    let mut frontend = Frontend::start::<Dummy>().await;
    let cell = frontend.send_execute("print begun\nwork").await;
    let behind = frontend.send_execute("print 1").await;
    frontend.recv_busy(&cell).await;
    frontend.recv_input(&cell, 1).await;
    frontend.recv_stdout(&cell, "begun\n").await;
    let interrupt = frontend.send_control("interrupt_request", json!({})).await;
    let reply = frontend
        .recv_control_reply(&interrupt, "interrupt_reply")
        .await;
    assert_eq!(reply, json!({ "status": "ok" }));
    assert_eq!(
        frontend.recv_reply(&cell, "execute_reply").await["ename"],
        "interrupted"
    );
    assert_eq!(
        frontend.recv_reply(&behind, "execute_reply").await["status"],
        "aborted"
    );
    // Messages of the interrupt and of the cells may be interleaved.
    let received = frontend.recv_all([&interrupt, &cell, &behind]).await;
    let types = received.map(|messages| {
        messages
            .into_iter()
            .map(|(kind, _)| kind)
            .collect::<Vec<_>>()
    });
    assert_eq!(types[0], ["status", "status"]);
    assert_eq!(types[1], ["error", "status"]);
    assert_eq!(types[2], ["status", "status"]);
    frontend.finish().await;
}

#[tokio::test]
async fn an_interrupt_without_a_cell_does_nothing() {
    let mut frontend = Frontend::start::<Dummy>().await;
    let interrupt = frontend.send_control("interrupt_request", json!({})).await;
    frontend.recv_busy(&interrupt).await;
    frontend.recv_idle(&interrupt).await;
    frontend
        .recv_control_reply(&interrupt, "interrupt_reply")
        .await;
    let cell = frontend.send_execute("").await;
    assert_eq!(frontend.recv_quiet_cell(&cell, 1).await["status"], "ok");
    frontend.finish().await;
}

#[tokio::test]
async fn a_cell_that_waits_for_the_language_can_be_interrupted() {
    let mut frontend = Frontend::start::<Dummy<1000>>().await;
    let cell = frontend.send_execute("print 1").await;
    frontend.recv_busy(&cell).await;
    frontend.recv_input(&cell, 1).await;
    let interrupt = frontend.send_control("interrupt_request", json!({})).await;
    frontend.recv_busy(&interrupt).await;
    frontend.recv_idle(&interrupt).await;
    assert_eq!(frontend.recv(&cell, "error").await["ename"], "interrupted");
    frontend.recv_idle(&cell).await;
    frontend.recv_reply(&cell, "execute_reply").await;
    frontend
        .recv_control_reply(&interrupt, "interrupt_reply")
        .await;
    frontend.finish().await;
}

#[tokio::test]
async fn a_cell_that_ignores_interrupts_is_killed_at_the_second() {
    let mut frontend = Frontend::start::<Dummy>().await;
    let cell = frontend.send_execute("print begun\nhang").await;
    frontend.recv_busy(&cell).await;
    frontend.recv_input(&cell, 1).await;
    frontend.recv_stdout(&cell, "begun\n").await;
    // The second comes too soon after the first to kill the cell.
    for pause in [0, 1100] {
        let interrupt = frontend.send_control("interrupt_request", json!({})).await;
        frontend.recv_busy(&interrupt).await;
        frontend.recv_idle(&interrupt).await;
        frontend
            .recv_control_reply(&interrupt, "interrupt_reply")
            .await;
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }
    let last = frontend.send_control("interrupt_request", json!({})).await;
    frontend.recv_control_reply(&last, "interrupt_reply").await;
    let [of_interrupt, of_cell] = frontend.recv_all([&last, &cell]).await;
    assert_eq!(of_interrupt.len(), 2);
    let [(stream, notice), (_, error), _idle] = &of_cell[..] else {
        panic!("{of_cell:?}")
    };
    assert_eq!(
        (stream.as_str(), &notice["name"]),
        ("stream", &json!("stderr"))
    );
    assert!(
        notice["text"]
            .as_str()
            .unwrap()
            .contains("variables are lost"),
        "{notice}"
    );
    assert_eq!(error["ename"], "killed");
    frontend.recv_reply(&cell, "execute_reply").await;
    frontend.finish().await;
}

#[tokio::test]
async fn a_restart_shuts_the_kernel_down_while_a_cell_runs() {
    let mut frontend = Frontend::start::<Dummy>().await;
    let cell = frontend.send_execute("hang").await;
    frontend.recv_busy(&cell).await;
    frontend.recv_input(&cell, 1).await;
    // The cell would never end by itself.
    assert_eq!(frontend.shut_down(true).await, Shutdown { restart: true });
    // The next kernel gets the same ports.
    let next = Frontend::start_at::<Dummy>(frontend.info.clone()).await;
    next.finish().await;
}

#[tokio::test]
async fn a_kernel_serves_socket_files_and_removes_them() {
    let folder = tempfile::tempdir().unwrap();
    let info = ConnectionInfo {
        transport: Transport::IPC,
        ip: folder
            .path()
            .join("kernel-ipc")
            .to_str()
            .unwrap()
            .to_owned(),
        shell_port: 1,
        iopub_port: 2,
        stdin_port: 3,
        control_port: 4,
        hb_port: 5,
        ..loopback()
    };
    let mut frontend = Frontend::start_at::<Dummy>(info).await;
    let cell = frontend.send_execute("").await;
    frontend.recv_quiet_cell(&cell, 1).await;
    frontend.heartbeat.single_heartbeat().await.unwrap();
    frontend.finish().await;
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}
