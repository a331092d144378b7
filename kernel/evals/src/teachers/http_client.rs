//! Sends one request over HTTP and reads its response.

use std::time::{Duration, SystemTime};

use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION, RETRY_AFTER};
use reqwest::{Client, Response, StatusCode, Url, redirect};

use super::api_response::{ApiResponse, error_code, error_message, is_filter_error};
use super::endpoint::Endpoint;
use super::error::{RequestProblem, TeacherError};
use super::request::Request;
use super::retry::retry_after;
use super::server_text::one_line;

/// Longest response body that is read, in bytes: far more than a model writes.
pub(super) const MAX_RESPONSE_BYTES: usize = 8 << 20;
/// Bytes of an error body that are read.
const MAX_ERROR_BYTES: usize = 64 << 10;

/// Time limits of one request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Timeouts {
    /// Limit for connecting.
    pub(super) connect: Duration,
    /// Limit from the start to the last byte of the response.
    pub(super) whole: Duration,
}

/// A failed request.
#[derive(Debug)]
pub(super) struct RequestFailure {
    pub(super) problem: RequestProblem,
    pub(super) retry: RetryDecision,
}

/// Whether a failed request is sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RetryDecision {
    /// Send it again, after the wait that the server requests.
    Retry { wait: Option<Duration> },
    /// Do not send it again; other requests may succeed.
    GiveUp,
    /// Send no further request: all would fail for the same reason.
    GiveUpAll,
}

/// An HTTP client for one endpoint.
pub(super) struct HttpClient {
    client: Client,
    endpoint: Endpoint,
    timeouts: Timeouts,
}

impl HttpClient {
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
            // A redirect would send the key to another host.
            .redirect(redirect::Policy::none())
            .connect_timeout(timeouts.connect);
        if endpoint.is_loopback() {
            // A proxy would send the key to another machine.
            client = client.no_proxy();
        }
        if endpoint.is_plain_http() {
            // Plain HTTP does not need the system's certificates, which take time to read.
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

    /// Sends `request` and reads its response, within the time limit.
    pub(super) async fn send(&self, request: &Request) -> Result<ApiResponse, RequestFailure> {
        let response = tokio::time::timeout(self.timeouts.whole, self.send_once(request)).await;
        let response = response.unwrap_or(Err(RequestFailure::retry(RequestProblem::Timeout {
            limit: self.timeouts.whole,
        })));
        match response {
            Ok(response) => Ok(response.without_key(self.endpoint.api_key())),
            Err(failure) => Err(RequestFailure {
                problem: self.safe_to_show(failure.problem),
                ..failure
            }),
        }
    }

    async fn send_once(&self, request: &Request) -> Result<ApiResponse, RequestFailure> {
        let body = serde_json::to_vec(&request.body).map_err(|error| {
            RequestFailure::new(
                RequestProblem::Connection {
                    detail: error.to_string(),
                },
                RetryDecision::GiveUp,
            )
        })?;
        let url = self.endpoint.chat_completions();
        let sent = self.client.post(url).body(body).send().await;
        let response = sent.map_err(|error| self.connection_failed(&error))?;
        let status = response.status();
        if status.is_redirection() {
            return Err(RequestFailure::new(
                redirected(&response),
                RetryDecision::GiveUpAll,
            ));
        }
        if status.is_success() {
            let body = self.body(response, MAX_RESPONSE_BYTES).await?;
            if body.len() > MAX_RESPONSE_BYTES {
                let limit = MAX_RESPONSE_BYTES;
                return Err(RequestFailure::new(
                    RequestProblem::TooLong { limit },
                    RetryDecision::GiveUp,
                ));
            }
            return ApiResponse::parse(&body).map_err(RequestFailure::from_response);
        }
        let wait = requested_wait(response.headers());
        // The status alone is an error, even if its body breaks off.
        let body = self
            .body(response, MAX_ERROR_BYTES)
            .await
            .unwrap_or_default();
        from_error(status, &body, wait)
    }

    /// Reads the body up to one byte beyond `limit`, so that the caller can tell that it is too long.
    async fn body(&self, mut response: Response, limit: usize) -> Result<Vec<u8>, RequestFailure> {
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

    fn connection_failed(&self, error: &reqwest::Error) -> RequestFailure {
        if error.is_connect() && error.is_timeout() {
            let limit = self.timeouts.connect;
            return RequestFailure::retry(RequestProblem::Timeout { limit });
        }
        let detail = with_causes(error);
        RequestFailure::retry(RequestProblem::Connection { detail })
    }

    /// Shortens the text of the server in `problem`, and removes the key.
    fn safe_to_show(&self, problem: RequestProblem) -> RequestProblem {
        // The key is removed first, because a shortened key is harder to find.
        let show = |text: &str| one_line(&self.endpoint.hide_key(text));
        match problem {
            RequestProblem::Connection { detail } => RequestProblem::Connection {
                detail: show(&detail),
            },
            RequestProblem::Status { status, message } => RequestProblem::Status {
                status,
                message: show(&message),
            },
            RequestProblem::ErrorResponse { code, message } => RequestProblem::ErrorResponse {
                code,
                message: show(&message),
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

impl RequestFailure {
    fn new(problem: RequestProblem, retry: RetryDecision) -> Self {
        Self { problem, retry }
    }

    fn retry(problem: RequestProblem) -> Self {
        Self::new(problem, RetryDecision::Retry { wait: None })
    }

    /// A problem in the body of a response with a success status.
    fn from_response(problem: RequestProblem) -> Self {
        let retry = match &problem {
            RequestProblem::ErrorResponse {
                code: Some(code), ..
            } => retry_decision(*code, None),
            // A gateway may have answered instead of the server, which is often temporary.
            _ => RetryDecision::Retry { wait: None },
        };
        Self::new(problem, retry)
    }
}

fn from_error(
    status: StatusCode,
    body: &[u8],
    wait: Option<Duration>,
) -> Result<ApiResponse, RequestFailure> {
    if matches!(status.as_u16(), 400 | 403 | 422) && is_filter_error(body) {
        return Ok(ApiResponse::filtered());
    }
    let problem = RequestProblem::Status {
        status: status.as_u16(),
        message: error_message(body),
    };
    // OpenAI uses status 429 also for an exhausted account, for which waiting does not help.
    let out_of_money = error_code(body).as_deref() == Some("insufficient_quota");
    let retry = if out_of_money {
        RetryDecision::GiveUpAll
    } else {
        retry_decision(status.as_u16(), wait)
    };
    Err(RequestFailure::new(problem, retry))
}

fn retry_decision(status: u16, wait: Option<Duration>) -> RetryDecision {
    match status {
        408 | 409 | 425 | 429 | 500..=599 => RetryDecision::Retry { wait },
        // The key, the account, the address or the name of the model is wrong for every request.
        401..=407 => RetryDecision::GiveUpAll,
        _ => RetryDecision::GiveUp,
    }
}

fn requested_wait(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?;
    retry_after(value, SystemTime::now())
}

/// Reports a redirect by scheme, host and port only, because the rest of the URL may hold secrets.
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
            assert_eq!(
                retry_decision(status, wait),
                RetryDecision::Retry { wait },
                "{status}"
            );
        }
        for status in [401, 402, 403, 404] {
            assert_eq!(
                retry_decision(status, wait),
                RetryDecision::GiveUpAll,
                "{status}"
            );
        }
        for status in [400, 413, 422] {
            assert_eq!(
                retry_decision(status, wait),
                RetryDecision::GiveUp,
                "{status}"
            );
        }
    }

    #[test]
    fn an_account_without_money_is_not_asked_again() {
        let body =
            br#"{"error":{"message":"You exceeded your quota","code":"insufficient_quota"}}"#;
        let failure = from_error(StatusCode::TOO_MANY_REQUESTS, body, None).unwrap_err();
        assert_eq!(failure.retry, RetryDecision::GiveUpAll);
        assert_eq!(
            failure.problem.to_string(),
            "HTTP status 429: You exceeded your quota"
        );
    }

    #[test]
    fn a_prompt_that_a_provider_withholds_is_answered_with_a_mark() {
        let body = br#"{"error":{"message":"filtered","code":"content_filter"}}"#;
        let response = from_error(StatusCode::BAD_REQUEST, body, None).unwrap();
        assert_eq!(
            response.finish_reason,
            offmodel_models::FinishReason::ContentFilter
        );
        assert!(from_error(StatusCode::BAD_REQUEST, b"no", None).is_err());
    }
}
