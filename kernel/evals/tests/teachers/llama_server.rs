//! A real server: llama.cpp's, from the Python package `llama-cpp-python[server]`, with the
//! default model, started here on a free port of this machine.
//!
//! `OFFMODEL_TEST_LLAMA_VENV` names a virtual environment that has the package. It is compiled
//! when it is installed, which takes some minutes.

use std::fs::{self, File};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use offmodel_evals::{
    ApiKey, ApiModel, Endpoint, LanguageModel, Teacher, UsageSummary, generate_responses,
};
use offmodel_models::{FinishReason, Model, Sampling};

use crate::server::{chats, quick, sampled};

const VARIABLE: &str = "OFFMODEL_TEST_LLAMA_VENV";
const KEY: &str = "sk-llama-0123456789abcdef";
const PROMPTS: [&str; 4] = [
    "What is the capital of France? Answer in one word.",
    "Write the numbers from one to five.",
    "What colour is the sky on a clear day?",
    "Name three animals that live in the sea.",
];

struct LlamaServer {
    child: Child,
    port: u16,
}

impl LlamaServer {
    /// Starts the server and waits until it listens; `None`, with the reason printed, where it is
    /// not installed.
    fn start(folder: &Path) -> Option<Self> {
        let Some(environment) = std::env::var_os(VARIABLE) else {
            offmodel_support::testing::skip(format_args!(
                "no server of llama.cpp (set {VARIABLE}, as .ci/run does)"
            ));
            return None;
        };
        let file = model_file();
        if !file.is_file() {
            offmodel_support::testing::skip("no default model (`cargo demo` fetches it)");
            return None;
        }
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let log = File::create(folder.join("server.log")).unwrap();
        let child = Command::new(PathBuf::from(environment).join("bin/python"))
            .args([
                "-m",
                "llama_cpp.server",
                "--host",
                "127.0.0.1",
                "--n_ctx",
                "1024",
            ])
            .args([
                "--model_alias",
                "smollm2",
                "--api_key",
                KEY,
                "--n_threads",
                "2",
            ])
            .args([
                "--port",
                &port.to_string(),
                "--model",
                file.to_str().unwrap(),
            ])
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut server = Self { child, port };
        let start = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            let ended = server.child.try_wait().unwrap();
            let log = || fs::read_to_string(folder.join("server.log")).unwrap();
            assert!(ended.is_none(), "the server ended: {}", log());
            assert!(start.elapsed() < Duration::from_secs(120), "{}", log());
            std::thread::sleep(Duration::from_millis(50));
        }
        Some(server)
    }

    fn model(&self, key: &str, folder: &Path) -> ApiModel {
        let endpoint = Endpoint::new(&format!("http://127.0.0.1:{}/v1", self.port)).unwrap();
        let endpoint = endpoint.key(ApiKey::new(key).unwrap());
        let model = ApiModel::new(endpoint, "smollm2").unwrap();
        model
            .cache_folder(folder.join("responses"))
            .retries(quick())
    }
}

impl Drop for LlamaServer {
    fn drop(&mut self) {
        // The server may have exited already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The file of the default model.
fn model_file() -> PathBuf {
    let folder = offmodel_support::environment::models_folder().unwrap();
    folder.join("SmolLM2-135M-Instruct.Q4_1.gguf")
}

#[test]
fn the_server_of_llama_cpp_is_a_teacher() {
    let folder = tempfile::tempdir().unwrap();
    let Some(server) = LlamaServer::start(folder.path()) else {
        return;
    };
    let teacher = server.model(KEY, folder.path());
    let greedy = Sampling::greedy().max_new_tokens(16);

    // The same file, read by two programs. llama.cpp multiplies with activations rounded to 8
    // bits, so that greedy responses part where two tokens are nearly as likely; but the chat is the
    // same tokens to both, and what llama.cpp says is what the model here finds likely.
    let ours = Model::load("smollm2").unwrap();
    let asked = chats(&PROMPTS);
    let theirs = teacher.reply(&asked, &greedy).unwrap();
    for (index, (chat, reply)) in std::iter::zip(&asked, &theirs).enumerate() {
        let prompt = ours.tokenizer().encode(&ours.render(chat, true).unwrap());
        let usage = reply.usage.unwrap();
        assert_eq!(usage.prompt_tokens, prompt.unwrap().len() as u64);
        if reply.finish_reason == FinishReason::Length {
            assert_eq!(usage.completion_tokens, 16);
        }
        let other = &asked[(index + 1) % asked.len()];
        let scored = [chat, other].map(|chat| chat.clone().assistant(reply.text.clone()));
        let mut scores = ours.score(&scored).unwrap();
        // llama.cpp may have been cut before the end token.
        for scores in &mut scores {
            scores.pop();
        }
        let [own, wrong] = [0, 1].map(|index| mean(&scores[index]));
        println!("{own:.2}, elsewhere {wrong:.2}: {:?}", reply.text);
        assert!(
            own > -1.5 && own > wrong + 0.5,
            "{own} {wrong} {}",
            reply.text
        );
    }
    assert!(
        theirs
            .iter()
            .any(|reply| reply.finish_reason == FinishReason::Stop)
    );

    // Truncated responses have their finish reason.
    let cut = teacher
        .reply(
            &chats(&PROMPTS[1..2]),
            &Sampling::greedy().max_new_tokens(3),
        )
        .unwrap();
    assert_eq!(cut[0].finish_reason, FinishReason::Length);
    assert_eq!(cut[0].usage.unwrap().completion_tokens, 3);

    // Samples of one prompt differ, and are reproduced by their seeds.
    let sampling = sampled().max_new_tokens(16);
    let three = vec![PROMPTS[3]; 3];
    let drawn = teacher.reply(&chats(&three), &sampling).unwrap();
    assert!(drawn[0].text != drawn[1].text || drawn[1].text != drawn[2].text);
    let fresh = teacher.clone().without_cache();
    let again = fresh.reply(&chats(&three), &sampling).unwrap();
    let texts = |replies: &[offmodel_evals::Reply]| -> Vec<String> {
        replies.iter().map(|reply| reply.text.clone()).collect()
    };
    assert_eq!(texts(&again), texts(&drawn));

    // A wrong key is rejected, and appears neither in our output nor in the server's message.
    let wrong = server
        .model("sk-wrong-0123456789abcdef", folder.path())
        .without_cache();
    let error = wrong
        .reply(&chats(&PROMPTS), &greedy)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("HTTP status 401") && !error.contains("sk-wrong"),
        "{error}"
    );

    // The server can generate a training set; the cache serves it again without the server.
    let teacher = Teacher::from(teacher);
    let prompts: Vec<String> = PROMPTS.iter().map(|&prompt| prompt.to_owned()).collect();
    let ask = || generate_responses(&teacher, &prompts, None, &greedy, "llama.cpp").unwrap();
    let taught = ask();
    drop(server);
    assert_eq!(ask().responses, taught.responses);
    assert!(!taught.responses.is_empty());
    let replies = teacher.reply(&chats(&PROMPTS), &greedy).unwrap();
    let summary = UsageSummary::of(&replies);
    assert_eq!(
        (summary.cached, summary.fresh.completion_tokens),
        (PROMPTS.len(), 0)
    );
}

fn mean(values: &[f32]) -> f32 {
    values.iter().sum::<f32>() / values.len() as f32
}
