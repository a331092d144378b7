//! Questions of a running cell to the user.

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

async fn recv_question(frontend: &mut Frontend, cell: &str) -> JupyterMessage {
    let question = frontend.stdin.read().await.unwrap();
    assert_eq!(question.parent_header.as_ref().unwrap().msg_id, cell);
    question
}

fn content(message: &JupyterMessage) -> Value {
    serde_json::to_value(&message.content).unwrap()
}

fn answer(value: &str) -> JupyterMessage {
    let reply = InputReply {
        value: value.to_owned(),
        ..Default::default()
    };
    JupyterMessage::new(JupyterMessageContent::InputReply(reply), None)
}

#[tokio::test]
async fn a_cell_can_ask_a_question() {
    let mut frontend = Frontend::start::<Dummy>().await;
    // An answer that nobody asked for is not taken for the next one.
    frontend.stdin.send(answer("stale")).await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let cell = send_cell(&mut frontend, "ask name? ").await;
    let question = recv_question(&mut frontend, &cell).await;
    assert_eq!(
        content(&question),
        json!({ "prompt": "name? ", "password": false })
    );
    frontend.stdin.send(answer("Ada")).await.unwrap();
    frontend.recv_stdout(&cell, "Ada").await;
    frontend.recv_idle(&cell).await;
    frontend.recv_reply(&cell, "execute_reply").await;
    frontend.finish().await;
}

#[tokio::test]
async fn a_password_is_asked_for_as_one() {
    let mut frontend = Frontend::start::<Dummy>().await;
    let cell = send_cell(&mut frontend, "password key? ").await;
    let question = recv_question(&mut frontend, &cell).await;
    assert_eq!(
        content(&question),
        json!({ "prompt": "key? ", "password": true })
    );
    frontend.stdin.send(answer("12345")).await.unwrap();
    frontend.recv_stdout(&cell, "5 characters").await;
    frontend.recv_idle(&cell).await;
    frontend.recv_reply(&cell, "execute_reply").await;
    frontend.finish().await;
}

#[tokio::test]
async fn a_front_end_that_takes_no_questions_is_not_asked() {
    let mut frontend = Frontend::start::<Dummy>().await;
    let cell = frontend.send_execute("ask name? ").await;
    frontend.recv_busy(&cell).await;
    frontend.recv_input(&cell, 1).await;
    let error = frontend.recv(&cell, "error").await;
    assert_eq!(error["evalue"], "this front end does not support input");
    frontend.recv_idle(&cell).await;
    frontend.recv_reply(&cell, "execute_reply").await;
    frontend.finish().await;
}

#[tokio::test]
async fn a_question_can_be_interrupted() {
    let mut frontend = Frontend::start::<Dummy>().await;
    let cell = send_cell(&mut frontend, "ask name? ").await;
    recv_question(&mut frontend, &cell).await;
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
