//! Malformed messages, and front ends that misbehave.

use std::time::Duration;

use jupyter_protocol::{JupyterMessage, KernelInfoRequest};
use jupyter_zmq_client::{
    create_client_iopub_connection, create_client_shell_connection_with_identity,
    peer_identity_for_session,
};
use serde_json::json;
use zeromq::{DealerSocket, Socket, SocketSend, ZmqMessage};

use crate::dummy_language::Dummy;
use crate::frontend::{Frontend, is_idle};

#[tokio::test]
async fn a_message_with_a_wrong_signature_is_dropped_and_the_kernel_goes_on() {
    let mut frontend = Frontend::start::<Dummy>().await;
    let mut forged = frontend.info.clone();
    forged.key = "another secret".to_owned();
    let identity = peer_identity_for_session("forger").unwrap();
    let mut forger = create_client_shell_connection_with_identity(&forged, "forger", identity)
        .await
        .unwrap();
    forger
        .send(JupyterMessage::new(KernelInfoRequest {}, None))
        .await
        .unwrap();
    let reply = tokio::time::timeout(Duration::from_millis(200), forger.read()).await;
    assert!(reply.is_err(), "a forger got {reply:?}");
    // The kernel did not even publish that it was busy.
    let cell = frontend.send_execute("").await;
    frontend.recv_quiet_cell(&cell, 1).await;
    frontend.finish().await;
}

#[tokio::test]
async fn bytes_that_are_no_message_are_dropped_on_every_socket() {
    let mut frontend = Frontend::start::<Dummy>().await;
    let info = frontend.info.clone();
    let endpoints = [info.shell_url(), info.control_url(), info.stdin_url()];
    for endpoint in endpoints {
        let mut socket = DealerSocket::new();
        socket.connect(&endpoint).await.unwrap();
        let garbage: [Vec<&[u8]>; 4] = [
            vec![b"\xff\xfe"],
            vec![b"<IDS|MSG>"],
            vec![b"<IDS|MSG>", b"not hexadecimal", b"{}", b"{}", b"{}", b"{}"],
            vec![b"<IDS|MSG>", b"", b"{", b"", b""],
        ];
        for frames in garbage {
            let mut message = ZmqMessage::from(frames[0].to_vec());
            for frame in &frames[1..] {
                message.push_back(frame.to_vec().into());
            }
            socket.send(message).await.unwrap();
        }
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    let cell = frontend.send_execute("").await;
    frontend.recv_quiet_cell(&cell, 1).await;
    frontend.heartbeat.single_heartbeat().await.unwrap();
    frontend.finish().await;
}

#[tokio::test]
async fn unknown_and_malformed_requests_get_a_reply() {
    let mut frontend = Frontend::start::<Dummy>().await;
    let unknown = frontend
        .request("juggle_request", json!({ "balls": 3 }))
        .await;
    assert_eq!(
        (&unknown["status"], &unknown["ename"]),
        (&json!("error"), &json!("unknown request"))
    );
    let wrong = frontend
        .request("execute_request", json!({ "code": 7 }))
        .await;
    assert_eq!(wrong["status"], "error");
    assert!(
        wrong["evalue"]
            .as_str()
            .unwrap()
            .contains("expected a string"),
        "{wrong}"
    );
    let control = frontend
        .send_control("create_subshell_request", json!({}))
        .await;
    frontend.recv_busy(&control).await;
    frontend.recv_idle(&control).await;
    let reply = frontend
        .recv_control_reply(&control, "create_subshell_reply")
        .await;
    assert_eq!(reply["status"], "error");
    frontend.finish().await;
}

#[tokio::test]
async fn a_subscriber_that_does_not_read_is_disconnected_after_a_while() {
    let mut frontend = Frontend::start::<Dummy>().await;
    // The subscriber reads its welcome and nothing after it, and keeps the connection open.
    let mut stuck = create_client_iopub_connection(&frontend.info, "", "stuck")
        .await
        .unwrap();
    assert_eq!(stuck.read().await.unwrap().message_type(), "iopub_welcome");
    assert_eq!(frontend.recv_iopub().await.message_type(), "iopub_welcome");
    // More than the buffers between kernel and subscriber can hold.
    let cell = frontend.send_execute("flood 64").await;
    let mut texts = 0;
    loop {
        let message = tokio::time::timeout(Duration::from_secs(30), frontend.iopub.read());
        let message = message
            .await
            .expect("idle, for the one that reads")
            .unwrap();
        texts += usize::from(message.message_type() == "stream");
        if is_idle(&message) {
            break;
        }
    }
    assert!(texts >= 63, "{texts} of 64 messages");
    frontend.recv_reply(&cell, "execute_reply").await;
    drop(stuck);
    frontend.finish().await;
}
