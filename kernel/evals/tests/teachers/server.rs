//! A scripted server on loopback.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use offmodel_evals::{ApiModel, Endpoint, RetryPolicy};
use offmodel_models::{Chat, Sampling};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// The reaction to a request.
pub(crate) enum Act {
    /// Sends status, additional headers and body.
    Answer(u16, String, String),
    /// Waits before the next reaction.
    After(Duration, Box<Act>),
    /// Sends these bytes and closes the connection.
    Raw(String),
    /// Sends the head of a response, and then a space every 20 ms.
    Drip,
    /// Sends the head of a response, and then spaces as fast as possible.
    Flood,
    /// Sends nothing and keeps the connection open.
    Silence,
    /// Waits until this many requests are open, and then reacts.
    Crowd(usize, Box<Act>),
}

/// A request that arrived.
#[derive(Clone)]
pub(crate) struct Received {
    pub(crate) head: String,
    pub(crate) body: Value,
    pub(crate) at: Instant,
}

impl Received {
    /// The last message of the chat.
    pub(crate) fn prompt(&self) -> &str {
        let messages = self.body["messages"].as_array().unwrap();
        messages.last().unwrap()["content"].as_str().unwrap()
    }
}

pub(crate) struct Server {
    address: SocketAddr,
    seen: Arc<Seen>,
}

#[derive(Default)]
struct Seen {
    connections: AtomicUsize,
    under_way: AtomicUsize,
    max_open_requests: AtomicUsize,
    flooded: AtomicUsize,
    requests: Mutex<Vec<Received>>,
}

impl Server {
    /// Starts a server that reacts to each request, counted from 0, by `act`.
    pub(crate) fn start(act: impl Fn(usize, &Received) -> Act + Send + Sync + 'static) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Seen::default());
        let (shared, act) = (seen.clone(), Arc::new(act));
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread();
            let runtime = { runtime }.enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = TcpListener::from_std(listener).unwrap();
                loop {
                    let (stream, _) = listener.accept().await.unwrap();
                    shared.connections.fetch_add(1, Ordering::SeqCst);
                    let (seen, act) = (shared.clone(), act.clone());
                    tokio::spawn(async move {
                        // Clients may disconnect.
                        let _ = serve(stream, &seen, act.as_ref()).await;
                    });
                }
            });
        });
        Self { address, seen }
    }

    /// Starts a server that replies "Echo: " and the prompt.
    pub(crate) fn echo() -> Self {
        Self::start(|_, request| said(&format!("Echo: {}", request.prompt())))
    }

    pub(crate) fn base_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    pub(crate) fn endpoint(&self) -> Endpoint {
        Endpoint::new(&self.base_url()).unwrap()
    }

    /// A handle of a model of this server, with its cache in `folder` and short waits.
    pub(crate) fn model(&self, folder: &tempfile::TempDir) -> ApiModel {
        let model = ApiModel::new(self.endpoint(), "test-model").unwrap();
        model.cache_folder(folder.path()).retries(quick())
    }

    pub(crate) fn requests(&self) -> Vec<Received> {
        self.seen.requests.lock().unwrap().clone()
    }

    pub(crate) fn connections(&self) -> usize {
        self.seen.connections.load(Ordering::SeqCst)
    }

    pub(crate) fn max_open_requests(&self) -> usize {
        self.seen.max_open_requests.load(Ordering::SeqCst)
    }

    /// Bytes that a flood has sent.
    pub(crate) fn flooded(&self) -> usize {
        self.seen.flooded.load(Ordering::SeqCst)
    }
}

async fn serve(
    mut stream: TcpStream,
    seen: &Seen,
    act: &(impl Fn(usize, &Received) -> Act + Sync),
) -> std::io::Result<()> {
    let request = read(&mut stream).await?;
    let number = {
        let mut requests = seen.requests.lock().unwrap();
        requests.push(request.clone());
        requests.len() - 1
    };
    let under_way = seen.under_way.fetch_add(1, Ordering::SeqCst) + 1;
    seen.max_open_requests
        .fetch_max(under_way, Ordering::SeqCst);
    let done = perform(act(number, &request), &mut stream, seen).await;
    seen.under_way.fetch_sub(1, Ordering::SeqCst);
    done
}

async fn read(stream: &mut TcpStream) -> std::io::Result<Received> {
    let (mut bytes, mut chunk) = (Vec::new(), [0; 4096]);
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .find_map(|line| {
                    line.to_lowercase()
                        .strip_prefix("content-length: ")?
                        .parse()
                        .ok()
                })
                .unwrap_or(0);
            if body.len() >= length {
                return Ok(Received {
                    head: head.to_owned(),
                    body: serde_json::from_str(body).unwrap(),
                    at: Instant::now(),
                });
            }
        }
        let count = stream.read(&mut chunk).await?;
        if count == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        bytes.extend(&chunk[..count]);
    }
}

async fn perform(mut act: Act, stream: &mut TcpStream, seen: &Seen) -> std::io::Result<()> {
    loop {
        act = match act {
            Act::After(wait, then) => {
                tokio::time::sleep(wait).await;
                *then
            }
            Act::Crowd(count, then) => {
                while seen.max_open_requests.load(Ordering::SeqCst) < count {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                *then
            }
            _ => break,
        }
    }
    const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n";
    match act {
        Act::After(..) | Act::Crowd(..) => unreachable!("the loop above ended"),
        Act::Answer(status, headers, body) => {
            let length = body.len();
            let head = format!(
                "HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n"
            );
            stream.write_all(head.as_bytes()).await?;
            stream.write_all(body.as_bytes()).await?;
        }
        Act::Raw(bytes) => stream.write_all(bytes.as_bytes()).await?,
        Act::Drip => {
            stream.write_all(HEAD).await?;
            loop {
                stream.write_all(b" ").await?;
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        Act::Flood => {
            stream.write_all(HEAD).await?;
            let block = vec![b' '; 1 << 16];
            loop {
                stream.write_all(&block).await?;
                seen.flooded.fetch_add(block.len(), Ordering::SeqCst);
            }
        }
        Act::Silence => std::future::pending::<()>().await,
    }
    stream.shutdown().await
}

/// A response that ended by itself, of 3 + 2 tokens.
pub(crate) fn said(text: &str) -> Act {
    finished(text, "stop")
}

pub(crate) fn finished(text: &str, reason: &str) -> Act {
    completion(&json!({"role": "assistant", "content": text}), reason)
}

pub(crate) fn completion(message: &Value, reason: &str) -> Act {
    let body = json!({
        "model": "test-model-1",
        "choices": [{"index": 0, "message": message, "finish_reason": reason}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2},
    });
    Act::Answer(200, String::new(), body.to_string())
}

pub(crate) fn status(status: u16) -> Act {
    Act::Answer(status, String::new(), String::new())
}

/// An error with a `Retry-After`.
pub(crate) fn busy(status: u16, retry_after: &str) -> Act {
    let header = format!("retry-after: {retry_after}\r\n");
    Act::Answer(status, header, String::new())
}

/// Three attempts, a few milliseconds apart.
pub(crate) fn quick() -> RetryPolicy {
    RetryPolicy {
        attempts: 3,
        first_wait: Duration::from_millis(5),
        ..RetryPolicy::default()
    }
}

pub(crate) fn chats(prompts: &[&str]) -> Vec<Chat> {
    prompts.iter().map(|&prompt| Chat::user(prompt)).collect()
}

pub(crate) fn sampled() -> Sampling {
    Sampling::temperature(1.0)
}
