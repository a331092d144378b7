//! Comms, opened by the front end.

use serde_json::json;

use crate::dummy_language::Dummy;
use crate::frontend::Frontend;

#[tokio::test]
async fn a_comm_to_an_unknown_target_is_closed_at_once() {
    let mut frontend = Frontend::start::<Dummy>().await;
    let open = frontend
        .send(
            "comm_open",
            json!({ "comm_id": "c", "target_name": "nobody", "data": {} }),
        )
        .await;
    frontend.recv_busy(&open).await;
    assert_eq!(
        frontend.recv(&open, "comm_close").await,
        json!({ "comm_id": "c", "data": {} })
    );
    frontend.recv_idle(&open).await;
    let info = frontend.request("comm_info_request", json!({})).await;
    assert_eq!(info, json!({ "status": "ok", "comms": {} }));
    frontend.finish().await;
}

#[tokio::test]
async fn a_comm_passes_messages_until_either_side_closes_it() {
    let mut frontend = Frontend::start::<Dummy>().await;
    for comm in ["a", "b"] {
        let data = json!({ "hello": comm });
        let open = frontend
            .send(
                "comm_open",
                json!({ "comm_id": comm, "target_name": "echo", "data": data }),
            )
            .await;
        frontend.recv_busy(&open).await;
        let echo = frontend.recv(&open, "comm_msg").await;
        assert_eq!(echo, json!({ "comm_id": comm, "data": data }));
        frontend.recv_idle(&open).await;
    }
    let both = json!({ "a": { "target_name": "echo" }, "b": { "target_name": "echo" } });
    assert_eq!(
        frontend.request("comm_info_request", json!({})).await["comms"],
        both
    );
    let others = frontend
        .request("comm_info_request", json!({ "target_name": "other" }))
        .await;
    assert_eq!(others["comms"], json!({}));

    let close = frontend
        .send("comm_close", json!({ "comm_id": "a", "data": {} }))
        .await;
    frontend.recv_busy(&close).await;
    frontend.recv_idle(&close).await;
    let bye = frontend
        .send("comm_msg", json!({ "comm_id": "b", "data": { "bye": 1 } }))
        .await;
    frontend.recv_busy(&bye).await;
    frontend.recv(&bye, "comm_close").await;
    frontend.recv_idle(&bye).await;
    // The target gets no message of a comm that is closed.
    let late = frontend
        .send("comm_msg", json!({ "comm_id": "a", "data": {} }))
        .await;
    frontend.recv_busy(&late).await;
    frontend.recv_idle(&late).await;
    assert_eq!(
        frontend.request("comm_info_request", json!({})).await["comms"],
        json!({})
    );
    frontend.finish().await;
}
