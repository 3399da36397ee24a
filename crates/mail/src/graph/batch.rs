//! Requests that go together: `POST /$batch`, at most 20 in one (Microsoft, "Combine multiple HTTP
//! requests using JSON batching"). Each is throttled on its own: a 429 comes inside a 200.

use super::GraphError;
use super::client::{Call, Client, Reply, seconds};
use bytes::Bytes;
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::{Arc, PoisonError};
use tokio::sync::oneshot;

/// Requests in one batch.
pub(super) const TOGETHER_MAX: usize = 20;

/// A request that waits for others, and who wants its answer.
pub(super) struct Waiting {
    call: Call,
    answer: oneshot::Sender<Result<Reply, GraphError>>,
}

#[derive(Deserialize)]
struct Answers {
    responses: Vec<Answer>,
}

#[derive(Deserialize)]
struct Answer {
    id: String,
    status: u16,
    #[serde(default)]
    headers: HashMap<String, Value>,
    #[serde(default)]
    body: Value,
}

impl Client {
    /// Waits a moment for other requests, sends them in one, returns the answer to this one.
    pub(super) async fn gather(&self, call: Call) -> Result<Reply, GraphError> {
        let attempt = call.attempt;
        let (answer, answered) = oneshot::channel();
        let full = {
            let mut waiting = self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            waiting.push(Waiting { call, answer });
            match waiting.len() {
                // the first one starts the clock for whoever comes after it
                1 => Some(None),
                TOGETHER_MAX => Some(Some(std::mem::take(&mut *waiting))),
                _ => None,
            }
        };
        // tasks of their own: a caller that gives up must not take the others' answers along
        let client = self.clone();
        match full {
            Some(Some(all)) => drop(tokio::spawn(async move { client.send_batch(all).await })),
            Some(None) => drop(tokio::spawn(async move {
                client.0.clock().sleep(client.0.settings.limits.gather).await;
                let all = std::mem::take(&mut *client.0.waiting.lock().unwrap_or_else(PoisonError::into_inner));
                client.send_batch(all).await;
            })),
            None => {}
        }
        answered.await.unwrap_or_else(|_| {
            Err(GraphError::Answer { attempt: attempt.to_owned(), reason: "the batch was given up".to_owned() })
        })
    }

    async fn send_batch(&self, mut all: Vec<Waiting>) {
        // the clock of an earlier batch may end when nobody waits, or while a newer one is full
        while !all.is_empty() {
            let rest = all.split_off(all.len().min(TOGETHER_MAX));
            match <[Waiting; 1]>::try_from(all) {
                Ok([alone]) => self.send_alone(alone).await,
                Err(several) => self.send_several(several).await,
            }
            all = rest;
        }
    }

    async fn send_alone(&self, waiting: Waiting) {
        let Waiting { call, answer } = waiting;
        let limit = self.0.settings.limits.json_bytes_max;
        let reply = match self.url(&call.path) {
            Ok(url) => self.exchange(&call, url, limit).await,
            Err(error) => Err(error),
        };
        // nobody waits any more: the caller gave up
        let _ = answer.send(reply);
    }

    async fn send_several(&self, several: Vec<Waiting>) {
        let requests: Vec<Value> = several.iter().enumerate().map(|(at, waiting)| request(at, &waiting.call)).collect();
        let outcome = self.post_batch(json!({ "requests": requests })).await;
        let (mut answers, token) = match outcome {
            Ok(answered) => answered,
            Err(error) => return fail_all(several, error),
        };
        for (at, Waiting { call, answer }) in several.into_iter().enumerate() {
            let reply = answers.remove(&at.to_string()).map(|found| Reply {
                status: found.status,
                retry_after: header(&found.headers, "retry-after").and_then(|text| seconds(&text)),
                body: Bytes::from(found.body.to_string()),
                token: token.clone(),
                uncertain: false,
            });
            let missing = || GraphError::Answer {
                attempt: call.attempt.to_owned(),
                reason: "the batch left it unanswered".to_owned(),
            };
            let _ = answer.send(reply.ok_or_else(missing));
        }
    }

    async fn post_batch(&self, body: Value) -> Result<(HashMap<String, Answer>, String), GraphError> {
        const ATTEMPT: &str = "send requests together";
        let url = self.url("/$batch")?;
        let limit = self.0.settings.limits.json_bytes_max;
        let (path, mailbox) = (String::new(), String::new());
        let call = Call { attempt: ATTEMPT, method: Method::POST, path, body: Some(body), mailbox, rows: None };
        let reply = self.exchange(&call, url, limit).await?;
        match reply.status {
            // each request of it renews the token by itself
            401 => {
                let ids = (0..TOGETHER_MAX).map(|at| at.to_string());
                let unauthorised = |id: String| Answer { id, status: 401, headers: HashMap::new(), body: Value::Null };
                return Ok((ids.map(|id| (id.clone(), unauthorised(id))).collect(), reply.token));
            }
            429 | 500..=599 => {
                return Err(GraphError::Busy {
                    attempt: ATTEMPT.to_owned(),
                    status: reply.status,
                    retry_after: reply.retry_after,
                });
            }
            _ => {}
        }
        let answers: Answers = reply.json(ATTEMPT)?;
        let by_id = answers.responses.into_iter().map(|answer| (answer.id.clone(), answer)).collect();
        Ok((by_id, reply.token))
    }
}

fn request(at: usize, call: &Call) -> Value {
    let mut request = json!({
        "id": at.to_string(),
        "method": call.method.as_str(),
        "url": call.path,
        "headers": { "Prefer": call.preferences() },
    });
    if let Some(body) = &call.body {
        request["headers"]["Content-Type"] = "application/json".into();
        request["body"] = body.clone();
    }
    request
}

fn header(headers: &HashMap<String, Value>, name: &str) -> Option<String> {
    let (_, value) = headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name))?;
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// Tells every caller why the batch failed.
fn fail_all(several: Vec<Waiting>, error: GraphError) {
    let error = Arc::new(error);
    for Waiting { call, answer } in several {
        let _ = answer.send(Err(GraphError::Batch { attempt: call.attempt.to_owned(), source: error.clone() }));
    }
}
