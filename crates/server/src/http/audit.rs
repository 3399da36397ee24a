//! The audit log: reading, verifying, exporting.

use super::Http;
use super::fail::Answer;
use super::request::{Json, Query, list_of, page};
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use futures::stream;
use hinomi_api::{AuditQuery, AuditVerification, List};
use hinomi_model::AuditRecord;
use hinomi_store::AuditFilter;

/// Returns what the audit log calls an operation: noun and verb.
pub fn action_of(id: &str) -> String {
    let named = match id {
        "logout" => "auth.logout",
        "updateMe" => "profile.update",
        "endOtherSessions" | "endSession" => "session.end",
        "startTotp" => "totp.start",
        "finishTotp" => "totp.set",
        "startPasskeyRegistration" => "passkey.start",
        "finishPasskeyRegistration" => "passkey.add",
        "removePasskey" => "passkey.remove",
        "stepUpTotp" | "finishStepUpPasskey" => "auth.step_up",
        "confirmPassword" => "auth.confirm_password",
        "startStepUpPasskey" => "auth.step_up_start",
        "createUser" => "user.create",
        "updateUser" => "user.update",
        "createToken" => "token.create",
        "revokeToken" => "token.revoke",
        "createEnrolmentToken" => "enrolment_token.create",
        "playDemo" => "demo.play",
        "removeDemo" => "demo.remove",
        "resendNotification" => "notification.resend",
        "testNotificationChannel" => "notification.test",
        "updateSettings" => "settings.update",
        "updateIncident" => "incident.update",
        "commentIncident" => "incident.comment",
        "updateAlert" => "alert.update",
        "commentAlert" => "alert.comment",
        "rerunInvestigation" => "investigation.rerun",
        "cancelInvestigation" => "investigation.cancel",
        "createVerdict" => "verdict.create",
        "dryRunMail" => "mail.dry_run",
        "createMailBulk" => "mail.bulk",
        "updateDevice" => "device.update",
        "revokeDevice" => "device.revoke",
        "createAction" => "action.create",
        "approveActions" | "approveAction" => "action.approve",
        "declineAction" => "action.decline",
        "cancelAction" => "action.cancel",
        "pauseAction" => "action.pause",
        "resumeAction" => "action.resume",
        "retryAction" => "action.retry",
        "disarmAction" => "action.disarm",
        "pauseMailBulk" => "mail.bulk_pause",
        "resumeMailBulk" => "mail.bulk_resume",
        "cancelMailBulk" => "mail.bulk_cancel",
        "undoAction" => "action.undo",
        other => other,
    };
    named.to_owned()
}

/// Tells whether an operation that succeeds writes its audit record itself, in the transaction of
/// the change.
pub fn recorded_inside(id: &str) -> bool {
    matches!(
        id,
        "updateIncident"
            | "commentIncident"
            | "updateAlert"
            | "commentAlert"
            | "rerunInvestigation"
            | "cancelInvestigation"
            | "createAction"
            | "approveActions"
            | "approveAction"
            | "declineAction"
            | "cancelAction"
            | "pauseAction"
            | "resumeAction"
            | "retryAction"
            | "disarmAction"
            | "undoAction"
    )
}

/// `GET /audit`
pub async fn list(State(http): State<Http>, Query(query): Query<AuditQuery>) -> Answer<Json<List<AuditRecord>>> {
    let filter = AuditFilter {
        actor: query.actor,
        action: query.action,
        target: query.target,
        since: query.from,
        until: query.to,
        text: query.text,
    };
    let listed = http.ctx.store.audit_records(&filter, &page(query.cursor, query.limit)).await?;
    Ok(Json(list_of(listed, |record| record)))
}

/// `GET /audit/verify`
pub async fn verify(State(http): State<Http>) -> Answer<Json<AuditVerification>> {
    let check = http.ctx.store.verify_audit().await?;
    Ok(Json(AuditVerification {
        intact: check.first_bad.is_none(),
        records: check.count,
        first_bad: check.first_bad,
        checked_at: http.ctx.now(),
    }))
}

/// `GET /audit/export`
pub async fn export(State(http): State<Http>) -> Answer<Response> {
    const STEP: i64 = 500;
    // positions have no gaps: the export walks them upwards and holds one step in memory
    let lines = stream::try_unfold(0_i64, move |done| {
        let http = http.clone();
        async move {
            let records = http.ctx.store.audit_after(done, STEP).await.map_err(std::io::Error::other)?;
            let Some(last) = records.last() else { return Ok::<_, std::io::Error>(None) };
            let done = last.seq;
            let mut text = String::new();
            for record in &records {
                text.push_str(&serde_json::to_string(record)?);
                text.push('\n');
            }
            Ok(Some((Bytes::from(text), done)))
        }
    });
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson")),
        (header::CONTENT_DISPOSITION, HeaderValue::from_static("attachment; filename=\"hinomi-audit.jsonl\"")),
    ];
    Ok((headers, Body::from_stream(lines)).into_response())
}
