//! Connectors to mail systems.

use super::Http;
use super::fail::{Answer, Fail};
use super::request::{Json, Path, length};
use crate::auth::Caller;
use axum::extract::State;
use hinomi_api::{ConnectorTest, ConnectorTestStep, TestConnector};
use serde_json::json;

/// `POST /mail/connectors/{name}/test`
pub async fn test(
    State(http): State<Http>,
    caller: Caller,
    Path(name): Path<String>,
    Json(body): Json<TestConnector>,
) -> Answer<Json<ConnectorTest>> {
    caller.note(&name, json!({ "mailbox": body.mailbox }));
    length("mailbox", body.mailbox.trim(), 1, 320)?;
    let Some(mail) = http.ctx.mail.get() else {
        return Err(Fail::unavailable("no mailboxes are connected", "メールボックスが接続されていません"));
    };
    let probe = mail.probe(&name, body.mailbox.trim(), crate::ids::new(), &caller.name()).await;
    let probe = match probe {
        Some(Ok(probe)) => probe,
        Some(Err(reason)) => return Err(Fail::field("mailbox", &reason.en, &reason.ja)),
        None => return Err(Fail::not_found()),
    };
    let ok = probe.ok();
    let steps = probe.steps.into_iter();
    let steps = steps.map(|step| ConnectorTestStep { what: step.what, ok: step.ok, detail: step.detail }).collect();
    Ok(Json(ConnectorTest { name, ok, steps, missing: probe.missing }))
}
