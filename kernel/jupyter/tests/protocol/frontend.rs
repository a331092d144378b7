//! A front end that expects every message: one that does not come, or one too many, fails the
//! test.

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
use offmodel_jupyter::{ConnectionInfo, Ending, Kernel, Language};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(20);

pub struct Frontend {
    pub info: ConnectionInfo,
    pub shell: ClientShellConnection,
    pub control: ClientControlConnection,
    pub stdin: ClientStdinConnection,
    pub iopub: ClientIoPubConnection,
    pub heartbeat: ClientHeartbeatConnection,
    kernel: JoinHandle<Ending>,
}

/// A connection over TCP whose ports are free at the moment.
pub fn loopback() -> ConnectionInfo {
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
    /// A kernel for `L` and a front end that is subscribed to all it publishes.
    pub async fn start<L: Language>() -> Self {
        Self::start_at::<L>(loopback()).await
    }

    pub async fn start_at<L: Language>(info: ConnectionInfo) -> Self {
        let kernel = Kernel::<L>::start(&info).await.unwrap();
        let kernel = tokio::spawn(kernel.finished());
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

    /// Sends a request on shell; its id comes back.
    pub async fn send(&mut self, message_type: &str, content: Value) -> String {
        let (message, id) = request(message_type, content);
        self.shell.send(message).await.unwrap();
        id
    }

    pub async fn send_execute(&mut self, code: &str) -> String {
        self.send("execute_request", json!({ "code": code })).await
    }

    pub async fn send_control(&mut self, message_type: &str, content: Value) -> String {
        let (message, id) = request(message_type, content);
        self.control.send(message).await.unwrap();
        id
    }

    /// Expects the reply to `request` on shell.
    pub async fn recv_reply(&mut self, request: &str, message_type: &str) -> Value {
        let message = timeout(LONG, self.shell.read())
            .await
            .expect(message_type)
            .unwrap();
        content(&message, request, message_type)
    }

    pub async fn recv_control_reply(&mut self, request: &str, message_type: &str) -> Value {
        let message = timeout(LONG, self.control.read())
            .await
            .expect(message_type)
            .unwrap();
        content(&message, request, message_type)
    }

    /// Expects a message that follows from `request` on iopub.
    pub async fn recv(&mut self, request: &str, message_type: &str) -> Value {
        let message = self.recv_iopub().await;
        content(&message, request, message_type)
    }

    pub async fn recv_iopub(&mut self) -> JupyterMessage {
        timeout(LONG, self.iopub.read())
            .await
            .expect("a message on iopub")
            .unwrap()
    }

    pub async fn recv_busy(&mut self, request: &str) {
        assert_eq!(
            self.recv(request, "status").await,
            json!({ "execution_state": "busy" })
        );
    }

    pub async fn recv_idle(&mut self, request: &str) {
        assert_eq!(
            self.recv(request, "status").await,
            json!({ "execution_state": "idle" })
        );
    }

    pub async fn recv_input(&mut self, request: &str, execution_count: usize) {
        let input = self.recv(request, "execute_input").await;
        assert_eq!(input["execution_count"], execution_count);
    }

    pub async fn recv_stdout(&mut self, request: &str, text: &str) {
        let stream = self.recv(request, "stream").await;
        assert_eq!(stream, json!({ "name": "stdout", "text": text }));
    }

    /// Reads iopub until all these requests are idle: types and contents, by request.
    pub async fn recv_all<const COUNT: usize>(
        &mut self,
        requests: [&str; COUNT],
    ) -> [Vec<(String, Value)>; COUNT] {
        let mut told = [const { Vec::new() }; COUNT];
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
            told[index].push((message.message_type().to_owned(), content));
        }
        told
    }

    /// Expects the messages of a cell that shows nothing: busy, input, idle and the reply.
    pub async fn recv_quiet_cell(&mut self, request: &str, execution_count: usize) -> Value {
        self.recv_busy(request).await;
        self.recv_input(request, execution_count).await;
        self.recv_idle(request).await;
        self.recv_reply(request, "execute_reply").await
    }

    /// Sends a request other than a cell, and expects its reply and nothing else.
    pub async fn ask(&mut self, message_type: &str, content: Value) -> Value {
        let request = self.send(message_type, content).await;
        self.recv_busy(&request).await;
        self.recv_idle(&request).await;
        self.recv_reply(&request, &message_type.replace("_request", "_reply"))
            .await
    }

    /// Ends the kernel; it must have nothing more to say.
    pub async fn finish(mut self) {
        let ending = self.shut_down(false).await;
        assert_eq!(ending, Ending { restart: false });
    }

    /// Ends the kernel as a front end does, and tells how it ended.
    pub async fn shut_down(&mut self, restart: bool) -> Ending {
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
        let ending = timeout(LONG, &mut self.kernel)
            .await
            .expect("the end")
            .unwrap();
        let more = timeout(Duration::from_millis(1), self.shell.read()).await;
        assert!(!matches!(more, Ok(Ok(_))), "unexpected on shell: {more:?}");
        let more = timeout(Duration::from_millis(1), self.stdin.read()).await;
        assert!(!matches!(more, Ok(Ok(_))), "unexpected on stdin: {more:?}");
        ending
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

/// The content of a message that must be of this type and follow from this request.
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

/// Whether a message says that the kernel has nothing more to tell about its parent.
pub fn is_idle(message: &JupyterMessage) -> bool {
    matches!(
        &message.content,
        JupyterMessageContent::Status(Status { execution_state })
            if *execution_state == jupyter_protocol::ExecutionState::Idle
    )
}
