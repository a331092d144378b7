//! The log: which events it has, and which parts of messages it must never have.

use std::process::Command;

use jupyter_protocol::{JupyterMessage, UnknownMessage};
use offmodel_support::environment;
use serde_json::json;

use crate::dummy_language::Dummy;
use crate::frontend::Frontend;
use crate::stdin::input_reply;

/// The variable that makes the process below log.
const LOGGED_PROCESS: &str = "TEST_LOGGED_PROCESS";
/// The digits are in every secret, and in nothing else that is logged.
const CODE: &str = "sk-code-60221407";
const EXPRESSION: &str = "sk-expression-60221407";
const PROMPT: &str = "sk-prompt-60221407";
const INPUT: &str = "sk-input-60221407";
const SECRET: &str = "60221407";

#[test]
fn a_full_log_has_types_and_ids_but_no_code_outputs_or_input() {
    let process = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "log::a_kernel_gets_secrets_in_its_messages"])
        .arg("--nocapture")
        .env(LOGGED_PROCESS, "1")
        .env(environment::LOG, "trace")
        .output()
        .unwrap();
    let log = String::from_utf8(process.stderr).unwrap();
    assert!(process.status.success(), "{log}");
    for event in [
        "kernel started",
        "language started",
        "received channel=\"shell\" message_type=\"execute_request\" id=\"",
        "cell started execution_count=1 request=\"",
        "sent channel=\"iopub\" message_type=\"stream\" id=\"",
        "sent channel=\"stdin\" message_type=\"input_request\" id=\"",
        "received channel=\"stdin\" message_type=\"input_reply\" id=\"",
        "dropped input_reply",
        "cell ended execution_count=1 succeeded=true",
        "cell ended execution_count=2 succeeded=false",
        "cannot reply to execute_request",
        "kernel shuts down restart=false",
    ] {
        assert!(log.contains(event), "no {event:?} in\n{log}");
    }
    assert!(!log.contains(SECRET), "{log}");
}

#[test]
fn a_warning_is_shown_without_a_log() {
    let process = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "log::a_kernel_gets_secrets_in_its_messages"])
        .arg("--nocapture")
        .env(LOGGED_PROCESS, "1")
        .env_remove(environment::LOG)
        .output()
        .unwrap();
    let log = String::from_utf8(process.stderr).unwrap();
    assert!(process.status.success(), "{log}");
    assert!(
        log.contains("offmodel-kernel: stdin: dropped input_reply"),
        "{log}"
    );
    assert!(
        !log.contains("kernel started") && !log.contains(SECRET),
        "{log}"
    );
}

/// Not a test by itself: the tests above run it in a process of its own, which has its own log.
#[tokio::test]
async fn a_kernel_gets_secrets_in_its_messages() {
    if std::env::var_os(LOGGED_PROCESS).is_none() {
        return;
    }
    offmodel_support::log::initialize();
    let mut frontend = Frontend::start::<Dummy>().await;
    let cell = frontend
        .send(
            "execute_request",
            json!({
                "code": format!("print {CODE}\ninput {PROMPT}\nvalue {CODE}\npage {CODE}"),
                "user_expressions": { "name": format!("value {EXPRESSION}") },
                "allow_stdin": true,
            }),
        )
        .await;
    frontend.recv_busy(&cell).await;
    frontend.recv_input(&cell, 1).await;
    frontend.recv_stdout(&cell, &format!("{CODE}\n")).await;
    frontend.stdin.read().await.unwrap();
    // A number is no valid value of an input reply; the parser's message quotes it.
    let malformed = UnknownMessage {
        msg_type: "input_reply".to_owned(),
        content: json!({ "status": "ok", "value": SECRET.parse::<u64>().unwrap() }),
    };
    frontend
        .stdin
        .send(JupyterMessage::new(malformed, None))
        .await
        .unwrap();
    frontend.stdin.send(input_reply(INPUT)).await.unwrap();
    frontend.recv_stdout(&cell, INPUT).await;
    frontend.recv(&cell, "execute_result").await;
    frontend.recv_idle(&cell).await;
    frontend.recv_reply(&cell, "execute_reply").await;

    let failing = frontend.send_execute(&format!("fail {CODE}")).await;
    frontend.recv_busy(&failing).await;
    frontend.recv_input(&failing, 2).await;
    frontend.recv(&failing, "error").await;
    frontend.recv_idle(&failing).await;
    frontend.recv_reply(&failing, "execute_reply").await;

    let malformed = json!({ "code": CODE, "silent": CODE });
    let reply = frontend.request("execute_request", malformed).await;
    assert!(reply["evalue"].as_str().unwrap().contains(CODE), "{reply}");
    frontend.finish().await;
}
