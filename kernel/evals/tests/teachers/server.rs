//! A server on loopback that answers as a test tells it to.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use offmodel_evals::{ApiModel, Endpoint, RetryPolicy};
use offmodel_models::{Chat, Sampling};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What is done with a request that was read whole.
pub enum Act {
    /// Status, further header lines, body.
    Answer(u16, String, String),
    /// Waits, and then does the other thing.
    After(Duration, Box<Act>),
    /// These bytes and then the end of the connection.
    Raw(String),
    /// The head of an answer, and then a space every 20 ms.
    Drip,
    /// The head of an answer, and then spaces as fast as they go.
    Flood,
    /// Nothing: the connection stays open.
    Silence,
    /// The other once there have been as many requests at the same time.
    Crowd(usize, Box<Act>),
}

/// A request that came.
#[derive(Clone)]
pub struct Received {
    pub head: String,
    pub body: Value,
    pub at: Instant,
}

impl Received {
    /// The last message of the chat.
    pub fn prompt(&self) -> &str {
        let messages = self.body["messages"].as_array().unwrap();
        messages.last().unwrap()["content"].as_str().unwrap()
    }
}

pub struct Server {
    address: SocketAddr,
    seen: Arc<Seen>,
}

#[derive(Default)]
struct Seen {
    connections: AtomicUsize,
    under_way: AtomicUsize,
    most_under_way: AtomicUsize,
    flooded: AtomicUsize,
    requests: Mutex<Vec<Received>>,
}

impl Server {
    /// Answers each request, counted from 0, as `act` says.
    pub fn start(act: impl Fn(usize, &Received) -> Act + Send + Sync + 'static) -> Self {
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
                        // A client that goes away is no error of the server's.
                        let _ = serve(stream, &seen, act.as_ref()).await;
                    });
                }
            });
        });
        Self { address, seen }
    }

    /// Says "Echo: " and the prompt.
    pub fn echo() -> Self {
        Self::start(|_, request| said(&format!("Echo: {}", request.prompt())))
    }

    pub fn base_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    pub fn endpoint(&self) -> Endpoint {
        Endpoint::new(&self.base_url()).unwrap()
    }

    /// A model of this server that keeps its answers in `folder` and does not wait long.
    pub fn model(&self, folder: &tempfile::TempDir) -> ApiModel {
        let model = ApiModel::new(self.endpoint(), "test-model").unwrap();
        model.cache_folder(folder.path()).retries(quick())
    }

    pub fn requests(&self) -> Vec<Received> {
        self.seen.requests.lock().unwrap().clone()
    }

    pub fn connections(&self) -> usize {
        self.seen.connections.load(Ordering::SeqCst)
    }

    pub fn most_under_way(&self) -> usize {
        self.seen.most_under_way.load(Ordering::SeqCst)
    }

    /// Bytes that a flood got rid of.
    pub fn flooded(&self) -> usize {
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
    seen.most_under_way.fetch_max(under_way, Ordering::SeqCst);
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
                while seen.most_under_way.load(Ordering::SeqCst) < count {
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

/// An answer that ended by itself, of 3 + 2 tokens.
pub fn said(text: &str) -> Act {
    finished(text, "stop")
}

pub fn finished(text: &str, reason: &str) -> Act {
    completion(&json!({"role": "assistant", "content": text}), reason)
}

pub fn completion(message: &Value, reason: &str) -> Act {
    let body = json!({
        "model": "test-model-1",
        "choices": [{"index": 0, "message": message, "finish_reason": reason}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2},
    });
    Act::Answer(200, String::new(), body.to_string())
}

pub fn status(status: u16) -> Act {
    Act::Answer(status, String::new(), String::new())
}

/// An error with a `Retry-After`.
pub fn busy(status: u16, retry_after: &str) -> Act {
    let header = format!("retry-after: {retry_after}\r\n");
    Act::Answer(status, header, String::new())
}

/// Three attempts, a few milliseconds apart.
pub fn quick() -> RetryPolicy {
    RetryPolicy {
        attempts: 3,
        first_wait: Duration::from_millis(5),
        ..RetryPolicy::default()
    }
}

pub fn chats(prompts: &[&str]) -> Vec<Chat> {
    prompts.iter().map(|&prompt| Chat::user(prompt)).collect()
}

pub fn sampled() -> Sampling {
    Sampling::temperature(1.0)
}
