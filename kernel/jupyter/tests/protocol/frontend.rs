//! A front end that expects every message of the kernel: a missing one fails the test, and so does
//! an unexpected one.

use std::net::{Ipv4Addr, TcpListener};
use std::time::Duration;

use jupyter_protocol::{JupyterMessage, JupyterMessageContent, Status, Transport, UnknownMessage};
use jupyter_zmq_client::{
    ClientControlConnection, ClientHeartbeatConnection, ClientIoPubConnection,
    ClientShellConnection, ClientStdinConnection, create_client_control_connection,
    create_client_heartbeat_connection, create_client_iopub_connection,
    create_client_shell_connection_with_identity, create_client_stdin_connection_with_identity,
    peer_identity_for_session,
};
use offmodel_jupyter::{ConnectionInfo, Kernel, Language, Shutdown};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// The longest that any message may take.
const RECV_TIMEOUT: Duration = Duration::from_secs(20);

pub(crate) struct Frontend {
    pub info: ConnectionInfo,
    pub shell: ClientShellConnection,
    pub control: ClientControlConnection,
    pub stdin: ClientStdinConnection,
    pub iopub: ClientIoPubConnection,
    pub heartbeat: ClientHeartbeatConnection,
    kernel: JoinHandle<Shutdown>,
}

/// A connection over TCP with five free ports.
pub(crate) fn loopback() -> ConnectionInfo {
    let listeners: Vec<TcpListener> = (0..5)
        .map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap())
        .collect();
    let port = |index: usize| listeners[index].local_addr().unwrap().port();
    ConnectionInfo {
        ip: Ipv4Addr::LOCALHOST.to_string(),
        transport: Transport::TCP,
        shell_port: port(0),
        iopub_port: port(1),
        stdin_port: port(2),
        control_port: port(3),
        hb_port: port(4),
        key: "a secret".to_owned(),
        signature_scheme: "hmac-sha256".to_owned(),
        kernel_name: None,
    }
}

impl Frontend {
    /// Starts a kernel for `L` and a front end that is subscribed to everything it publishes.
    pub(crate) async fn start<L: Language>() -> Self {
        Self::start_at::<L>(loopback()).await
    }

    pub(crate) async fn start_at<L: Language>(info: ConnectionInfo) -> Self {
        let kernel = Kernel::<L>::start(&info).await.unwrap();
        let kernel = tokio::spawn(kernel.run_until_shutdown());
        let session = "front-end";
        let identity = peer_identity_for_session(session).unwrap();
        let shell =
            create_client_shell_connection_with_identity(&info, session, identity.clone()).await;
        let stdin = create_client_stdin_connection_with_identity(&info, session, identity).await;
        let mut frontend = Self {
            shell: shell.unwrap(),
            control: create_client_control_connection(&info, session)
                .await
                .unwrap(),
            stdin: stdin.unwrap(),
            iopub: create_client_iopub_connection(&info, "", session)
                .await
                .unwrap(),
            heartbeat: create_client_heartbeat_connection(&info).await.unwrap(),
            info,
            kernel,
        };
        let welcome = frontend.recv_iopub().await;
        assert_eq!(welcome.message_type(), "iopub_welcome");
        frontend
    }

    /// Sends a request on shell and returns its message id.
    pub(crate) async fn send(&mut self, message_type: &str, content: Value) -> String {
        let (message, id) = request(message_type, content);
        self.shell.send(message).await.unwrap();
        id
    }

    pub(crate) async fn send_execute(&mut self, code: &str) -> String {
        self.send("execute_request", json!({ "code": code })).await
    }

    pub(crate) async fn send_control(&mut self, message_type: &str, content: Value) -> String {
        let (message, id) = request(message_type, content);
        self.control.send(message).await.unwrap();
        id
    }

    /// Expects the reply to `request` on shell.
    pub(crate) async fn recv_reply(&mut self, request: &str, message_type: &str) -> Value {
        let message = timeout(RECV_TIMEOUT, self.shell.read())
            .await
            .expect(message_type)
            .unwrap();
        content(&message, request, message_type)
    }

    pub(crate) async fn recv_control_reply(&mut self, request: &str, message_type: &str) -> Value {
        let message = timeout(RECV_TIMEOUT, self.control.read())
            .await
            .expect(message_type)
            .unwrap();
        content(&message, request, message_type)
    }

    /// Expects a message on iopub whose parent is `request`.
    pub(crate) async fn recv(&mut self, request: &str, message_type: &str) -> Value {
        let message = self.recv_iopub().await;
        content(&message, request, message_type)
    }

    pub(crate) async fn recv_iopub(&mut self) -> JupyterMessage {
        timeout(RECV_TIMEOUT, self.iopub.read())
            .await
            .expect("a message on iopub")
            .unwrap()
    }

    pub(crate) async fn recv_busy(&mut self, request: &str) {
        assert_eq!(
            self.recv(request, "status").await,
            json!({ "execution_state": "busy" })
        );
    }

    pub(crate) async fn recv_idle(&mut self, request: &str) {
        assert_eq!(
            self.recv(request, "status").await,
            json!({ "execution_state": "idle" })
        );
    }

    pub(crate) async fn recv_input(&mut self, request: &str, execution_count: usize) {
        let input = self.recv(request, "execute_input").await;
        assert_eq!(input["execution_count"], execution_count);
    }

    pub(crate) async fn recv_stdout(&mut self, request: &str, text: &str) {
        let stream = self.recv(request, "stream").await;
        assert_eq!(stream, json!({ "name": "stdout", "text": text }));
    }

    /// Reads iopub until all these requests are idle; returns types and contents by request.
    pub(crate) async fn recv_all<const COUNT: usize>(
        &mut self,
        requests: [&str; COUNT],
    ) -> [Vec<(String, Value)>; COUNT] {
        let mut received = [const { Vec::new() }; COUNT];
        let mut idle = 0;
        while idle < COUNT {
            let message = self.recv_iopub().await;
            let parent = &message.parent_header.as_ref().unwrap().msg_id;
            let index = requests
                .iter()
                .position(|request| request == parent)
                .unwrap();
            idle += usize::from(is_idle(&message));
            let content = serde_json::to_value(&message.content).unwrap();
            received[index].push((message.message_type().to_owned(), content));
        }
        received
    }

    /// Expects the messages of a cell without outputs: busy, input, idle and the reply.
    pub(crate) async fn recv_quiet_cell(&mut self, request: &str, execution_count: usize) -> Value {
        self.recv_busy(request).await;
        self.recv_input(request, execution_count).await;
        self.recv_idle(request).await;
        self.recv_reply(request, "execute_reply").await
    }

    /// Sends a request other than a cell; expects busy, idle and the reply, which it returns.
    pub(crate) async fn request(&mut self, message_type: &str, content: Value) -> Value {
        let request = self.send(message_type, content).await;
        self.recv_busy(&request).await;
        self.recv_idle(&request).await;
        self.recv_reply(&request, &message_type.replace("_request", "_reply"))
            .await
    }

    /// Shuts the kernel down; no message may be left.
    pub(crate) async fn finish(mut self) {
        let shutdown = self.shut_down(false).await;
        assert_eq!(shutdown, Shutdown { restart: false });
    }

    /// Shuts the kernel down with a request on control, and returns how it ended.
    pub(crate) async fn shut_down(&mut self, restart: bool) -> Shutdown {
        let expected = json!({ "restart": restart, "status": "ok" });
        let request = self
            .send_control("shutdown_request", json!({ "restart": restart }))
            .await;
        self.recv_busy(&request).await;
        assert_eq!(self.recv(&request, "shutdown_reply").await, expected);
        self.recv_idle(&request).await;
        assert_eq!(
            self.recv_control_reply(&request, "shutdown_reply").await,
            expected
        );
        let shutdown = timeout(RECV_TIMEOUT, &mut self.kernel)
            .await
            .expect("the shutdown")
            .unwrap();
        let more = timeout(Duration::from_millis(1), self.shell.read()).await;
        assert!(!matches!(more, Ok(Ok(_))), "unexpected on shell: {more:?}");
        let more = timeout(Duration::from_millis(1), self.stdin.read()).await;
        assert!(!matches!(more, Ok(Ok(_))), "unexpected on stdin: {more:?}");
        shutdown
    }
}

fn request(message_type: &str, content: Value) -> (JupyterMessage, String) {
    let content = UnknownMessage {
        msg_type: message_type.to_owned(),
        content,
    };
    let message = JupyterMessage::new(content, None);
    let id = message.header.msg_id.clone();
    (message, id)
}

/// The content of a message, which must have this type and this parent.
fn content(message: &JupyterMessage, request: &str, message_type: &str) -> Value {
    let parent = message
        .parent_header
        .as_ref()
        .map(|header| header.msg_id.as_str());
    let content = serde_json::to_value(&message.content).unwrap();
    let found = (message.message_type(), parent);
    assert_eq!(
        found,
        (message_type, Some(request)),
        "its content is {content}"
    );
    assert_eq!(message.header.version, "5.5");
    content
}

/// Returns whether a message is the status `idle`, the last one of its parent.
pub(crate) fn is_idle(message: &JupyterMessage) -> bool {
    matches!(
        &message.content,
        JupyterMessageContent::Status(Status { execution_state })
            if *execution_state == jupyter_protocol::ExecutionState::Idle
    )
}
