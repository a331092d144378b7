//! One request and one answer over HTTP.

use std::time::{Duration, SystemTime};

use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION, RETRY_AFTER};
use reqwest::{Client, Response, StatusCode, Url, redirect};

use super::answer::{Answer, error_code, error_message, is_filter_error};
use super::endpoint::Endpoint;
use super::error::{RequestProblem, TeacherError};
use super::request::Request;
use super::retry::retry_after;
use super::untrusted::tidy;

/// The most bytes of an answer: far above the longest that a model writes.
pub(super) const MAXIMUM_ANSWER_BYTES: usize = 8 << 20;
/// How much of the body of an error is read.
const MAXIMUM_ERROR_BYTES: usize = 64 << 10;

/// How long a request may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Timeouts {
    /// To connect.
    pub(super) connect: Duration,
    /// From the beginning to the last byte of the answer.
    pub(super) whole: Duration,
}

/// A request that brought no answer.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) problem: RequestProblem,
    pub(super) remedy: Remedy,
}

/// What can be done about a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Remedy {
    /// Ask again, after the wait that the server asks for.
    Retry { wait: Option<Duration> },
    /// Nothing, for this request; others may be answered.
    None,
    /// Nothing, and all other requests would fail likewise.
    Stop,
}

/// One API, ready to be asked.
pub(super) struct Exchange {
    client: Client,
    endpoint: Endpoint,
    timeouts: Timeouts,
}

impl Exchange {
    pub(super) fn new(endpoint: &Endpoint, timeouts: Timeouts) -> Result<Self, TeacherError> {
        endpoint.check()?;
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(key) = endpoint.api_key() {
            headers.insert(reqwest::header::AUTHORIZATION, key.authorization()?);
        }
        let mut client = Client::builder()
            .default_headers(headers)
            .user_agent(concat!("offmodel/", env!("CARGO_PKG_VERSION")))
            // The key is for this host alone.
            .redirect(redirect::Policy::none())
            .connect_timeout(timeouts.connect);
        if endpoint.is_loopback() {
            // A proxy would be another machine that reads the key.
            client = client.no_proxy();
        }
        if endpoint.is_plain_http() {
            // Spares reading the system's certificates.
            client = client.tls_built_in_root_certs(false);
        }
        let client = client.build().map_err(|error| TeacherError::Client {
            detail: endpoint.hide_key(&with_causes(&error)),
        })?;
        Ok(Self {
            client,
            endpoint: endpoint.clone(),
            timeouts,
        })
    }

    /// Sends a request and reads its answer.
    pub(super) async fn ask(&self, request: &Request) -> Result<Answer, Failure> {
        let answer = tokio::time::timeout(self.timeouts.whole, self.send(request)).await;
        let answer = answer.unwrap_or(Err(Failure::retry(RequestProblem::Timeout {
            limit: self.timeouts.whole,
        })));
        match answer {
            Ok(answer) => Ok(answer.without(self.endpoint.api_key())),
            Err(failure) => Err(Failure {
                problem: self.presentable(failure.problem),
                ..failure
            }),
        }
    }

    async fn send(&self, request: &Request) -> Result<Answer, Failure> {
        let body = serde_json::to_vec(&request.body).map_err(|error| {
            Failure::new(
                RequestProblem::Connection {
                    detail: error.to_string(),
                },
                Remedy::None,
            )
        })?;
        let url = self.endpoint.chat_completions();
        let sent = self.client.post(url).body(body).send().await;
        let response = sent.map_err(|error| self.connection_failed(&error))?;
        let status = response.status();
        if status.is_redirection() {
            return Err(Failure::new(redirected(&response), Remedy::Stop));
        }
        if status.is_success() {
            let body = self.body(response, MAXIMUM_ANSWER_BYTES).await?;
            if body.len() > MAXIMUM_ANSWER_BYTES {
                let limit = MAXIMUM_ANSWER_BYTES;
                return Err(Failure::new(
                    RequestProblem::TooLong { limit },
                    Remedy::None,
                ));
            }
            return Answer::parse(&body).map_err(Failure::of_answer);
        }
        let wait = wanted_wait(response.headers());
        // An error is an error, also if its body breaks off.
        let body = self
            .body(response, MAXIMUM_ERROR_BYTES)
            .await
            .unwrap_or_default();
        of_error(status, &body, wait)
    }

    /// The body, up to one byte more than `limit`; the rest is not read.
    async fn body(&self, mut response: Response, limit: usize) -> Result<Vec<u8>, Failure> {
        let mut body = Vec::new();
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) => {
                    let room = limit + 1 - body.len();
                    body.extend_from_slice(&chunk[..chunk.len().min(room)]);
                    if body.len() > limit {
                        return Ok(body);
                    }
                }
                Ok(None) => return Ok(body),
                Err(error) => return Err(self.connection_failed(&error)),
            }
        }
    }

    fn connection_failed(&self, error: &reqwest::Error) -> Failure {
        if error.is_connect() && error.is_timeout() {
            let limit = self.timeouts.connect;
            return Failure::retry(RequestProblem::Timeout { limit });
        }
        let detail = with_causes(error);
        Failure::retry(RequestProblem::Connection { detail })
    }

    /// The problem with what the server said shortened and without the key.
    fn presentable(&self, problem: RequestProblem) -> RequestProblem {
        // Hidden first: a shortened key is harder to find.
        let show = |text: &str| tidy(&self.endpoint.hide_key(text));
        match problem {
            RequestProblem::Connection { detail } => RequestProblem::Connection {
                detail: show(&detail),
            },
            RequestProblem::Status { status, said } => RequestProblem::Status {
                status,
                said: show(&said),
            },
            RequestProblem::ErrorAnswer { code, said } => RequestProblem::ErrorAnswer {
                code,
                said: show(&said),
            },
            RequestProblem::Redirect { status, target } => RequestProblem::Redirect {
                status,
                target: show(&target),
            },
            RequestProblem::NotCompletion { detail } => RequestProblem::NotCompletion {
                detail: show(&detail),
            },
            other => other,
        }
    }
}

impl Failure {
    fn new(problem: RequestProblem, remedy: Remedy) -> Self {
        Self { problem, remedy }
    }

    fn retry(problem: RequestProblem) -> Self {
        Self::new(problem, Remedy::Retry { wait: None })
    }

    /// Of a body with the status of a success.
    fn of_answer(problem: RequestProblem) -> Self {
        let remedy = match &problem {
            RequestProblem::ErrorAnswer {
                code: Some(code), ..
            } => remedy_of(*code, None),
            // A gateway that answers for the server may do that for a while only.
            _ => Remedy::Retry { wait: None },
        };
        Self::new(problem, remedy)
    }
}

fn of_error(status: StatusCode, body: &[u8], wait: Option<Duration>) -> Result<Answer, Failure> {
    if matches!(status.as_u16(), 400 | 403 | 422) && is_filter_error(body) {
        return Ok(Answer::withheld());
    }
    let problem = RequestProblem::Status {
        status: status.as_u16(),
        said: error_message(body),
    };
    // OpenAI gives this status also to an account without money, which no wait helps.
    let out_of_money = error_code(body).as_deref() == Some("insufficient_quota");
    let remedy = if out_of_money {
        Remedy::Stop
    } else {
        remedy_of(status.as_u16(), wait)
    };
    Err(Failure::new(problem, remedy))
}

fn remedy_of(status: u16, wait: Option<Duration>) -> Remedy {
    match status {
        408 | 409 | 425 | 429 | 500..=599 => Remedy::Retry { wait },
        // The key, the account, the address or the name of the model.
        401..=407 => Remedy::Stop,
        _ => Remedy::None,
    }
}

fn wanted_wait(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?;
    retry_after(value, SystemTime::now())
}

/// Scheme, host and port that a redirection points to: the rest may hold anything.
fn redirected(response: &Response) -> RequestProblem {
    let location = response.headers().get(LOCATION);
    let target = location
        .and_then(|value| value.to_str().ok())
        .and_then(|value| response.url().join(value).ok())
        .map_or_else(|| "nowhere".to_owned(), |url: Url| origin(&url));
    RequestProblem::Redirect {
        status: response.status().as_u16(),
        target,
    }
}

fn origin(url: &Url) -> String {
    let port = url
        .port()
        .map_or_else(String::new, |port| format!(":{port}"));
    format!(
        "{}://{}{port}",
        url.scheme(),
        url.host_str().unwrap_or_default()
    )
}

/// An error with its causes, which the HTTP client does not show by itself.
fn with_causes(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_pass_is_asked_again_and_what_concerns_all_stops_all() {
        let wait = Some(Duration::from_secs(3));
        for status in [408, 409, 425, 429, 500, 502, 503, 504, 529] {
            assert_eq!(remedy_of(status, wait), Remedy::Retry { wait }, "{status}");
        }
        for status in [401, 402, 403, 404] {
            assert_eq!(remedy_of(status, wait), Remedy::Stop, "{status}");
        }
        for status in [400, 413, 422] {
            assert_eq!(remedy_of(status, wait), Remedy::None, "{status}");
        }
    }

    #[test]
    fn an_account_without_money_is_not_asked_again() {
        let body =
            br#"{"error":{"message":"You exceeded your quota","code":"insufficient_quota"}}"#;
        let failure = of_error(StatusCode::TOO_MANY_REQUESTS, body, None).unwrap_err();
        assert_eq!(failure.remedy, Remedy::Stop);
        assert_eq!(
            failure.problem.to_string(),
            "HTTP status 429: You exceeded your quota"
        );
    }

    #[test]
    fn a_prompt_that_a_provider_withholds_is_answered_with_a_mark() {
        let body = br#"{"error":{"message":"filtered","code":"content_filter"}}"#;
        let answer = of_error(StatusCode::BAD_REQUEST, body, None).unwrap();
        assert_eq!(answer.ending, crate::Ending::ContentFilter);
        assert!(of_error(StatusCode::BAD_REQUEST, b"no", None).is_err());
    }
}
