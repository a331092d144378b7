//! Completion, inspection, completeness, history and kernel info.

use serde_json::json;

use crate::dummy_language::Dummy;
use crate::frontend::Frontend;

#[tokio::test]
async fn kernel_info_names_the_kernel_and_its_language() {
    let mut frontend = Frontend::start::<Dummy>().await;
    let info = frontend.request("kernel_info_request", json!({})).await;
    assert_eq!(info["status"], "ok");
    assert_eq!(info["protocol_version"], "5.5");
    assert_eq!(info["implementation"], "dummy-kernel");
    assert_eq!(
        info["language_info"],
        json!({
            "name": "dummy",
            "version": "4.5.6",
            "mimetype": "text/dummy",
            "file_extension": ".dummy",
            "pygments_lexer": "text",
            "codemirror_mode": "null",
            "nbconvert_exporter": "script",
        })
    );
    frontend.finish().await;
}

#[tokio::test]
async fn cursor_positions_count_code_points() {
    let mut frontend = Frontend::start::<Dummy>().await;
    // The mathematical alpha is one code point, four bytes of UTF-8 and two units of UTF-16.
    let reply = frontend
        .request(
            "complete_request",
            json!({ "code": "𝛼 ét!", "cursor_pos": 4 }),
        )
        .await;
    assert_eq!(reply["matches"], json!(["été"]));
    assert_eq!(
        (&reply["cursor_start"], &reply["cursor_end"]),
        (&json!(2), &json!(4))
    );
    assert_eq!(reply["status"], json!("ok"));
    assert_eq!(
        reply["metadata"],
        json!({ "_jupyter_types_experimental": [
            { "start": 2, "end": 4, "text": "été", "type": "word", "signature": "" }
        ] })
    );
    let beyond = frontend
        .request(
            "complete_request",
            json!({ "code": "𝛼 p", "cursor_pos": 99 }),
        )
        .await;
    assert_eq!(
        (&beyond["cursor_start"], &beyond["cursor_end"]),
        (&json!(2), &json!(3))
    );
    frontend.finish().await;
}

#[tokio::test]
async fn inspection_finds_a_name_or_says_that_there_is_none() {
    let mut frontend = Frontend::start::<Dummy>().await;
    let code = "é name";
    let found = frontend
        .request(
            "inspect_request",
            json!({ "code": code, "cursor_pos": 2, "detail_level": 1 }),
        )
        .await;
    assert_eq!(
        found,
        json!({ "status": "ok", "found": true, "data": { "text/plain": "name: Source" }, "metadata": {} })
    );
    let missing = frontend
        .request("inspect_request", json!({ "code": code, "cursor_pos": 6 }))
        .await;
    assert_eq!(
        missing,
        json!({ "status": "ok", "found": false, "data": {}, "metadata": {} })
    );
    frontend.finish().await;
}

#[tokio::test]
async fn code_is_complete_incomplete_or_invalid() {
    let mut frontend = Frontend::start::<Dummy>().await;
    for (code, status, indent) in [
        ("print", "complete", ""),
        ("print \\", "incomplete", "  "),
        ("]", "invalid", ""),
    ] {
        let reply = frontend
            .request("is_complete_request", json!({ "code": code }))
            .await;
        assert_eq!(
            reply,
            json!({ "status": status, "indent": indent }),
            "{code}"
        );
    }
    frontend.finish().await;
}

#[tokio::test]
async fn history_has_cells_with_their_results() {
    let mut frontend = Frontend::start::<Dummy>().await;
    let first = frontend.send_execute("").await;
    frontend.recv_quiet_cell(&first, 1).await;
    let second = frontend.send_execute("value 5").await;
    frontend.recv_busy(&second).await;
    frontend.recv_input(&second, 2).await;
    frontend.recv(&second, "execute_result").await;
    frontend.recv_idle(&second).await;
    frontend.recv_reply(&second, "execute_reply").await;
    // `jupyter_client` sends a range without its end.
    let request = json!({ "hist_access_type": "range", "session": 0, "start": 2, "raw": true, "output": true });
    let reply = frontend.request("history_request", request).await;
    assert_eq!(
        reply,
        json!({ "status": "ok", "history": [[1, 2, ["value 5", "5"]]] })
    );
    frontend.finish().await;
}
