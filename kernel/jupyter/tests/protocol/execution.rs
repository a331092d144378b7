//! Cells: the order of their messages, and the flags of an `execute_request`.

use serde_json::json;

use crate::dummy_language::Dummy;
use crate::frontend::{Frontend, is_idle};

#[tokio::test]
async fn a_cell_has_its_input_outputs_and_reply_in_order() {
    let mut frontend = Frontend::start::<Dummy>().await;
    let cell = frontend.send_execute("print one\nwarn two\nvalue 3").await;
    frontend.recv_busy(&cell).await;
    let input = frontend.recv(&cell, "execute_input").await;
    assert_eq!(
        input,
        json!({ "code": "print one\nwarn two\nvalue 3", "execution_count": 1 })
    );
    frontend.recv_stdout(&cell, "one\n").await;
    let warning = frontend.recv(&cell, "stream").await;
    assert_eq!(warning, json!({ "name": "stderr", "text": "two\n" }));
    let result = frontend.recv(&cell, "execute_result").await;
    assert_eq!(
        (&result["data"], &result["execution_count"]),
        (&json!({ "text/plain": "3" }), &json!(1))
    );
    frontend.recv_idle(&cell).await;
    let reply = frontend.recv_reply(&cell, "execute_reply").await;
    assert_eq!(
        reply,
        json!({ "status": "ok", "execution_count": 1, "payload": [], "user_expressions": {} })
    );
    frontend.finish().await;
}

#[tokio::test]
async fn displays_are_shown_updated_and_cleared_in_order() {
    let mut frontend = Frontend::start::<Dummy>().await;
    let cell = frontend
        .send_execute("show a\nupdate b\nclear\nshow c")
        .await;
    frontend.recv_busy(&cell).await;
    frontend.recv_input(&cell, 1).await;
    let shown = frontend.recv(&cell, "display_data").await;
    assert_eq!(
        shown["data"],
        json!({ "text/plain": "a", "text/html": "<b>a</b>" })
    );
    assert_eq!(shown["transient"], json!({ "display_id": "it" }));
    let updated = frontend.recv(&cell, "update_display_data").await;
    assert_eq!(updated["data"], json!({ "text/plain": "b" }));
    assert_eq!(updated["transient"], json!({ "display_id": "it" }));
    assert_eq!(
        frontend.recv(&cell, "clear_output").await,
        json!({ "wait": true })
    );
    frontend.recv(&cell, "display_data").await;
    frontend.recv_idle(&cell).await;
    frontend.recv_reply(&cell, "execute_reply").await;
    frontend.finish().await;
}

#[tokio::test]
async fn an_error_is_published_and_in_the_reply() {
    let mut frontend = Frontend::start::<Dummy>().await;
    let cell = frontend.send_execute("fail twice").await;
    frontend.recv_busy(&cell).await;
    frontend.recv_input(&cell, 1).await;
    let shown = frontend.recv(&cell, "error").await;
    let error = json!({ "ename": "failure", "evalue": "twice", "traceback": ["failure: twice"] });
    assert_eq!(shown, error);
    frontend.recv_idle(&cell).await;
    let reply = frontend.recv_reply(&cell, "execute_reply").await;
    assert_eq!(
        (&reply["status"], &reply["ename"]),
        (&json!("error"), &json!("failure"))
    );
    assert_eq!(reply["traceback"], error["traceback"]);
    assert_eq!(reply["user_expressions"], json!({}));
    frontend.finish().await;
}

#[tokio::test]
async fn a_page_is_a_payload_of_the_reply() {
    let mut frontend = Frontend::start::<Dummy>().await;
    let cell = frontend.send_execute("page about it").await;
    let reply = frontend.recv_quiet_cell(&cell, 1).await;
    let page = json!({ "source": "page", "data": { "text/plain": "about it" }, "start": 0 });
    assert_eq!(reply["payload"], json!([page]));
    frontend.finish().await;
}

#[tokio::test]
async fn a_silent_cell_has_no_outputs_and_does_not_count() {
    let mut frontend = Frontend::start::<Dummy>().await;
    let cell = frontend
        .send(
            "execute_request",
            json!({ "code": "print x\nvalue 1\nshow y", "silent": true }),
        )
        .await;
    frontend.recv_busy(&cell).await;
    frontend.recv_idle(&cell).await;
    assert_eq!(
        frontend.recv_reply(&cell, "execute_reply").await["status"],
        "ok"
    );
    let next = frontend.send_execute("").await;
    frontend.recv_quiet_cell(&next, 1).await;
    frontend.finish().await;
}

#[tokio::test]
async fn a_cell_that_stores_no_history_does_not_count() {
    let mut frontend = Frontend::start::<Dummy>().await;
    let cell = frontend
        .send(
            "execute_request",
            json!({ "code": "", "store_history": false }),
        )
        .await;
    frontend.recv_quiet_cell(&cell, 1).await;
    let next = frontend.send_execute("").await;
    frontend.recv_quiet_cell(&next, 1).await;
    let history = frontend
        .request(
            "history_request",
            json!({ "hist_access_type": "tail", "n": 9, "raw": true, "output": false }),
        )
        .await;
    assert_eq!(history["history"], json!([[1, 1, ""]]));
    frontend.finish().await;
}

#[tokio::test]
async fn cells_behind_one_that_fails_are_aborted_and_later_ones_run() {
    let mut frontend = Frontend::start::<Dummy>().await;
    let failing = frontend.send_execute("fail").await;
    let behind = [
        frontend.send_execute("print 1").await,
        frontend.send_execute("print 2").await,
    ];
    let completion = frontend
        .send("complete_request", json!({ "code": "pr", "cursor_pos": 2 }))
        .await;

    frontend.recv_busy(&failing).await;
    frontend.recv_input(&failing, 1).await;
    frontend.recv(&failing, "error").await;
    frontend.recv_idle(&failing).await;
    assert_eq!(
        frontend.recv_reply(&failing, "execute_reply").await["status"],
        "error"
    );
    for cell in &behind {
        frontend.recv_busy(cell).await;
        frontend.recv_idle(cell).await;
        assert_eq!(
            frontend.recv_reply(cell, "execute_reply").await["status"],
            "aborted"
        );
    }
    // Only cells are aborted.
    frontend.recv_busy(&completion).await;
    frontend.recv_idle(&completion).await;
    assert_eq!(
        frontend.recv_reply(&completion, "complete_reply").await["matches"],
        json!(["print"])
    );

    let later = frontend.send_execute("print 3").await;
    frontend.recv_busy(&later).await;
    frontend.recv_input(&later, 2).await;
    frontend.recv_stdout(&later, "3\n").await;
    frontend.recv_idle(&later).await;
    frontend.recv_reply(&later, "execute_reply").await;
    frontend.finish().await;
}

#[tokio::test]
async fn without_stop_on_error_the_cells_behind_run() {
    let mut frontend = Frontend::start::<Dummy>().await;
    let failing = frontend
        .send(
            "execute_request",
            json!({ "code": "fail", "stop_on_error": false }),
        )
        .await;
    let behind = frontend.send_execute("").await;
    frontend.recv_busy(&failing).await;
    frontend.recv_input(&failing, 1).await;
    frontend.recv(&failing, "error").await;
    frontend.recv_idle(&failing).await;
    frontend.recv_reply(&failing, "execute_reply").await;
    assert_eq!(frontend.recv_quiet_cell(&behind, 2).await["status"], "ok");
    frontend.finish().await;
}

#[tokio::test]
async fn user_expressions_have_a_value_or_an_error_each() {
    let mut frontend = Frontend::start::<Dummy>().await;
    let cell = frontend
        .send(
            "execute_request",
            json!({ "code": "", "user_expressions": { "good": "value 7", "bad": "nothing" } }),
        )
        .await;
    let reply = frontend.recv_quiet_cell(&cell, 1).await;
    assert_eq!(reply["status"], "ok");
    assert_eq!(
        reply["user_expressions"],
        json!({
            "good": { "status": "ok", "data": { "text/plain": "7" }, "metadata": {} },
            "bad": {
                "status": "error",
                "ename": "no value",
                "evalue": "nothing",
                "traceback": ["no value: nothing"],
            },
        })
    );
    frontend.finish().await;
}

#[tokio::test]
async fn many_small_writes_are_sent_as_few_messages() {
    const LINES: usize = 20_000;
    let mut frontend = Frontend::start::<Dummy>().await;
    let cell = frontend.send_execute(&format!("count {LINES}")).await;
    frontend.recv_busy(&cell).await;
    frontend.recv_input(&cell, 1).await;
    let (mut text, mut messages) = (String::new(), 0);
    loop {
        let message = frontend.recv_iopub().await;
        if is_idle(&message) {
            break;
        }
        let stream = serde_json::to_value(&message.content).unwrap();
        text.push_str(stream["text"].as_str().unwrap());
        messages += 1;
    }
    let expected: String = (0..LINES).map(|number| format!("{number}\n")).collect();
    assert!(
        text == expected,
        "{} of {} bytes",
        text.len(),
        expected.len()
    );
    assert!(messages < LINES / 20, "{messages} messages");
    frontend.recv_reply(&cell, "execute_reply").await;
    frontend.finish().await;
}
