//! Input that a running cell requests from the user.

use std::time::Duration;

use jupyter_protocol::{InputReply, JupyterMessage, JupyterMessageContent};
use serde_json::{Value, json};

use crate::dummy_language::Dummy;
use crate::frontend::Frontend;

async fn send_cell(frontend: &mut Frontend, code: &str) -> String {
    let cell = frontend
        .send(
            "execute_request",
            json!({ "code": code, "allow_stdin": true }),
        )
        .await;
    frontend.recv_busy(&cell).await;
    frontend.recv_input(&cell, 1).await;
    cell
}

async fn recv_input_request(frontend: &mut Frontend, cell: &str) -> JupyterMessage {
    let request = frontend.stdin.read().await.unwrap();
    assert_eq!(request.parent_header.as_ref().unwrap().msg_id, cell);
    request
}

fn content(message: &JupyterMessage) -> Value {
    serde_json::to_value(&message.content).unwrap()
}

pub(crate) fn input_reply(value: &str) -> JupyterMessage {
    let reply = InputReply {
        value: value.to_owned(),
        ..Default::default()
    };
    JupyterMessage::new(JupyterMessageContent::InputReply(reply), None)
}

#[tokio::test]
async fn a_cell_gets_the_line_that_the_user_types() {
    let mut frontend = Frontend::start::<Dummy>().await;
    // A reply that no cell requested must not be taken for the next one.
    frontend.stdin.send(input_reply("stale")).await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let cell = send_cell(&mut frontend, "input name? ").await;
    let request = recv_input_request(&mut frontend, &cell).await;
    assert_eq!(
        content(&request),
        json!({ "prompt": "name? ", "password": false })
    );
    frontend.stdin.send(input_reply("Ada")).await.unwrap();
    frontend.recv_stdout(&cell, "Ada").await;
    frontend.recv_idle(&cell).await;
    frontend.recv_reply(&cell, "execute_reply").await;
    frontend.finish().await;
}

#[tokio::test]
async fn a_password_is_requested_as_one() {
    let mut frontend = Frontend::start::<Dummy>().await;
    let cell = send_cell(&mut frontend, "password key? ").await;
    let request = recv_input_request(&mut frontend, &cell).await;
    assert_eq!(
        content(&request),
        json!({ "prompt": "key? ", "password": true })
    );
    frontend.stdin.send(input_reply("12345")).await.unwrap();
    frontend.recv_stdout(&cell, "5 characters").await;
    frontend.recv_idle(&cell).await;
    frontend.recv_reply(&cell, "execute_reply").await;
    frontend.finish().await;
}

#[tokio::test]
async fn a_front_end_without_stdin_gets_no_input_request() {
    let mut frontend = Frontend::start::<Dummy>().await;
    let cell = frontend.send_execute("input name? ").await;
    frontend.recv_busy(&cell).await;
    frontend.recv_input(&cell, 1).await;
    let error = frontend.recv(&cell, "error").await;
    assert_eq!(error["evalue"], "this front end does not support input");
    frontend.recv_idle(&cell).await;
    frontend.recv_reply(&cell, "execute_reply").await;
    frontend.finish().await;
}

#[tokio::test]
async fn a_cell_that_waits_for_input_can_be_interrupted() {
    let mut frontend = Frontend::start::<Dummy>().await;
    let cell = send_cell(&mut frontend, "input name? ").await;
    recv_input_request(&mut frontend, &cell).await;
    let interrupt = frontend.send_control("interrupt_request", json!({})).await;
    frontend.recv_busy(&interrupt).await;
    frontend.recv_idle(&interrupt).await;
    let error = frontend.recv(&cell, "error").await;
    assert_eq!(error["evalue"], "interrupted while waiting for input");
    frontend.recv_idle(&cell).await;
    frontend.recv_reply(&cell, "execute_reply").await;
    frontend
        .recv_control_reply(&interrupt, "interrupt_reply")
        .await;
    frontend.finish().await;
}
