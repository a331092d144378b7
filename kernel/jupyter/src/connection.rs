//! The [connection file](https://jupyter-client.readthedocs.io/en/stable/kernels.html#connection-files),
//! and the five sockets bound as it says.

use std::io::{self, ErrorKind};
use std::net::TcpListener;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use jupyter_protocol::Transport;
use jupyter_zmq_client::{
    Connection, ConnectionInfo, KernelControlConnection, KernelIoPubXPubConnection,
    KernelShellConnection, KernelStdinConnection,
};
use uuid::Uuid;
use zeromq::{Listener, RepSocket, RouterSocket, Socket, XPubSocket};

/// The only signature scheme that front ends use.
const SIGNATURE_SCHEME: &str = "hmac-sha256";

/// Why a kernel could not open its sockets.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectionError {
    /// The connection file does not exist or cannot be read.
    #[error("failed to read the connection file {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The connection file does not have the format that Jupyter writes.
    #[error("failed to parse the connection file {}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// The parser's reason, with line and column.
        source: serde_json::Error,
    },
    /// The connection file names a signature scheme that this kernel does not implement.
    #[error(
        "failed to use the connection file: expected the signature scheme {SIGNATURE_SCHEME}, found {found}"
    )]
    SignatureScheme {
        /// The scheme in the connection file.
        found: String,
    },
    /// A socket could not be bound.
    #[error("failed to bind the {channel} socket to {endpoint}")]
    Bind {
        /// The socket: shell, control, stdin, iopub or heartbeat.
        channel: &'static str,
        /// Address and port, or the path of the socket file.
        endpoint: String,
        /// The system's reason.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The system refused a thread for the language.
    #[error("failed to start a thread for the language")]
    Thread(#[source] io::Error),
}

/// Reads the connection file that a front end writes for a kernel that it starts.
///
/// # Errors
/// When the file cannot be read or parsed.
pub fn read_connection_file(path: &Path) -> Result<ConnectionInfo, ConnectionError> {
    let text = std::fs::read(path).map_err(|source| ConnectionError::Read {
        path: path.to_owned(),
        source,
    })?;
    serde_json::from_slice(&text).map_err(|source| ConnectionError::Parse {
        path: path.to_owned(),
        source,
    })
}

/// The sockets of a kernel, bound but not yet received from.
pub(crate) struct Sockets {
    pub shell: KernelShellConnection,
    pub control: KernelControlConnection,
    pub stdin: KernelStdinConnection,
    pub iopub: KernelIoPubXPubConnection,
    pub heartbeat: RepSocket,
    pub files: SocketFiles,
}

impl Sockets {
    /// Binds all five sockets to the address in `info` and to no other.
    pub(crate) async fn bind(info: &ConnectionInfo) -> Result<Self, ConnectionError> {
        if !info.key.is_empty() && info.signature_scheme != SIGNATURE_SCHEME {
            return Err(ConnectionError::SignatureScheme {
                found: info.signature_scheme.clone(),
            });
        }
        let session = Uuid::new_v4().to_string();
        let mut files = SocketFiles::default();
        let shell: RouterSocket = bind(info, "shell", info.shell_port, &mut files).await?;
        let control: RouterSocket = bind(info, "control", info.control_port, &mut files).await?;
        let stdin: RouterSocket = bind(info, "stdin", info.stdin_port, &mut files).await?;
        let iopub: XPubSocket = bind(info, "iopub", info.iopub_port, &mut files).await?;
        let heartbeat: RepSocket = bind(info, "heartbeat", info.hb_port, &mut files).await?;
        Ok(Self {
            shell: Connection::new(shell, &info.key, &session),
            control: Connection::new(control, &info.key, &session),
            stdin: Connection::new(stdin, &info.key, &session),
            iopub: Connection::new(iopub, &info.key, &session),
            heartbeat,
            files,
        })
    }
}

/// The socket files of the `ipc` transport, which are removed when the kernel shuts down.
#[derive(Debug, Default)]
pub(crate) struct SocketFiles(Vec<PathBuf>);

impl Drop for SocketFiles {
    fn drop(&mut self) {
        for path in &self.0 {
            // Fails if the file is gone already.
            let _ = std::fs::remove_file(path);
        }
    }
}

async fn bind<S: Socket>(
    info: &ConnectionInfo,
    channel: &'static str,
    port: u16,
    files: &mut SocketFiles,
) -> Result<S, ConnectionError> {
    let endpoint = match info.transport {
        Transport::TCP => format!("{} port {port}", info.ip),
        Transport::IPC => format!("{}-{port}", info.ip),
    };
    let failure = |source| ConnectionError::Bind {
        channel,
        endpoint: endpoint.clone(),
        source,
    };
    let listener: Listener = match info.transport {
        Transport::TCP => TcpListener::bind((info.ip.as_str(), port))
            .map_err(|error| failure(error.into()))?
            .into(),
        Transport::IPC => {
            let path = PathBuf::from(&endpoint);
            let listener = bind_file(&path).map_err(|error| failure(error.into()))?;
            files.0.push(path);
            listener.into()
        }
    };
    let mut socket = S::new();
    socket
        .bind_listener(listener)
        .await
        .map_err(|error| failure(error.into()))?;
    Ok(socket)
}

/// Binds a socket file that only this user can connect to.
///
/// A file that a killed kernel left is replaced, because a restarted kernel gets the same path.
fn bind_file(path: &Path) -> io::Result<UnixListener> {
    let listener = match UnixListener::bind(path) {
        Err(error) if error.kind() == ErrorKind::AddrInUse && is_abandoned(path) => {
            std::fs::remove_file(path)?;
            UnixListener::bind(path)?
        }
        other => other?,
    };
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

fn is_abandoned(path: &Path) -> bool {
    let is_socket = std::fs::metadata(path).is_ok_and(|metadata| metadata.file_type().is_socket());
    let refused = || {
        UnixStream::connect(path).is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
    };
    is_socket && refused()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_file_of_a_killed_kernel_is_replaced_and_one_in_use_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kernel-ipc-1");
        // A dropped listener leaves its file, as a killed process does.
        drop(UnixListener::bind(&path).unwrap());
        let live = bind_file(&path).unwrap();
        assert_eq!(
            std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert_eq!(bind_file(&path).unwrap_err().kind(), ErrorKind::AddrInUse);
        drop(live);
    }

    #[test]
    fn an_unreadable_or_malformed_connection_file_is_named_in_the_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kernel.json");
        let missing = read_connection_file(&path).unwrap_err();
        assert!(missing.to_string().contains("kernel.json"), "{missing}");
        std::fs::write(&path, "{\"ip\": \"127.0.0.1\"}").unwrap();
        let error = read_connection_file(&path).unwrap_err();
        assert!(matches!(error, ConnectionError::Parse { .. }), "{error}");
    }
}
