//! HTTP: the console's API and files, on TLS.
//!
//! The table of routes is `hinomi_api::routes`; here every route finds its handler by operation id
//! and gets the one guard that knows its permission. A file per resource; handlers read the request,
//! call the room that knows, and write the answer. They decide nothing themselves.

mod assets;
mod fail;
mod guard;
mod request;
mod stream;
mod tls;

mod actions;
mod alerts;
mod audit;
mod automation;
mod connectors;
mod demos;
mod devices;
mod directory;
mod explorer;
mod files;
mod incidents;
mod indicator_preview;
mod indicators;
mod investigations;
mod login;
mod mail;
mod messages;
mod meta;
mod notifications;
mod people;
mod profile;
mod regroup;
mod rules;
mod search;
mod settings;
mod tuning;
mod verdicts;

pub use fail::{Answer, Fail};

use crate::app::Ctx;
use crate::auth::Auth;
use anyhow::{Context, Result};
use axum::Router;
use axum::routing::{MethodFilter, MethodRouter, on};
use hinomi_api::routes::{BASE, Method, routes};
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tower_http::compression::CompressionLayer;

/// What every handler has.
#[derive(Clone)]
pub struct Http {
    /// The server.
    pub ctx: Ctx,
    /// Authentication.
    pub auth: Arc<Auth>,
    /// Places for live streams.
    pub streams: Arc<Semaphore>,
}

impl Http {
    /// Prepares the API of a server.
    pub fn new(ctx: Ctx) -> Self {
        let auth = Arc::new(Auth::new(ctx.clone()));
        Http { ctx, auth, streams: stream::places() }
    }
}

/// Serves console and API on TLS until the server stops.
///
/// # Errors
/// When the server certificate cannot be used.
pub async fn serve(ctx: Ctx, listener: TcpListener) -> Result<()> {
    let config = tls::config(ctx.keys.server_chain.clone(), ctx.keys.server_key()).context("server certificate")?;
    let stop = ctx.stop.clone();
    tls::serve(listener, config, router(Http::new(ctx)), stop).await;
    Ok(())
}

/// Builds the router of console and API.
pub fn router(http: Http) -> Router {
    let mut api = Router::new();
    for route in routes() {
        let method = match route.method {
            Method::Get => MethodFilter::GET,
            Method::Post => MethodFilter::POST,
            Method::Patch => MethodFilter::PATCH,
            Method::Delete => MethodFilter::DELETE,
        };
        let handler = handler(route.id, method).expect("a test asks every route of the table for its handler");
        let rule = guard::Rule { id: route.id, permission: route.permission };
        let guard = axum::middleware::from_fn_with_state((http.clone(), rule), guard::guard);
        api = api.route(&format!("{BASE}{}", route.path), handler.route_layer(guard));
    }
    api.fallback(assets::console)
        .layer(CompressionLayer::new())
        .layer(axum::middleware::from_fn(guard::finish))
        .with_state(http)
}

macro_rules! handlers {
    ($id:expr, $method:expr; $($name:literal => $handler:path,)*) => {
        match $id {
            $($name => Some(on($method, $handler)),)*
            _ => None,
        }
    };
}

fn handler(id: &str, method: MethodFilter) -> Option<MethodRouter<Http>> {
    handlers! { id, method;
        "getMeta" => meta::get_meta,
        "getHealth" => meta::get_health,
        "getOpenApi" => meta::get_open_api,
        "setUp" => login::set_up,
        "login" => login::login,
        "startPasskeyLogin" => login::start_passkey,
        "finishPasskeyLogin" => login::finish_passkey,
        "logout" => login::logout,
        "getMe" => profile::get_me,
        "updateMe" => profile::update_me,
        "listSessions" => profile::list_sessions,
        "endOtherSessions" => profile::end_other_sessions,
        "endSession" => profile::end_session,
        "startTotp" => profile::start_totp,
        "finishTotp" => profile::finish_totp,
        "startPasskeyRegistration" => profile::start_passkey,
        "finishPasskeyRegistration" => profile::finish_passkey,
        "removePasskey" => profile::remove_passkey,
        "confirmPassword" => profile::confirm_password,
        "stepUpTotp" => profile::step_up_totp,
        "startStepUpPasskey" => profile::start_step_up_passkey,
        "finishStepUpPasskey" => profile::finish_step_up_passkey,
        "getStream" => stream::get_stream,
        "listUsers" => people::list_users,
        "createUser" => people::create_user,
        "updateUser" => people::update_user,
        "listTokens" => people::list_tokens,
        "createToken" => people::create_token,
        "revokeToken" => people::revoke_token,
        "listEnrolmentTokens" => people::list_enrolment_tokens,
        "createEnrolmentToken" => people::create_enrolment_token,
        "listNotifications" => notifications::list,
        "resendNotification" => notifications::resend,
        "listNotificationChannels" => notifications::channels,
        "testNotificationChannel" => notifications::test,
        "listAudit" => audit::list,
        "verifyAudit" => audit::verify,
        "exportAudit" => audit::export,
        "listDemos" => demos::list,
        "getDemo" => demos::get,
        "playDemo" => demos::play,
        "removeDemo" => demos::remove,
        "getSettings" => settings::get,
        "listDirectory" => directory::list,
        "getDirectoryStatus" => directory::status,
        "importDirectory" => directory::import,
        "syncDirectory" => directory::sync,
        "updateSettings" => settings::update,
        "getAutomation" => automation::get,
        "updateAutomation" => automation::update,
        "previewAutomation" => automation::preview,
        "testConnector" => connectors::test,
        "listIncidents" => incidents::list,
        "getIncident" => incidents::get,
        "updateIncident" => incidents::update,
        "commentIncident" => incidents::comment,
        "mergeIncidents" => regroup::merge,
        "unmergeIncident" => regroup::unmerge,
        "moveAlerts" => regroup::move_alerts,
        "listIncidentAlerts" => incidents::alerts,
        "listIncidentEvidence" => incidents::evidence,
        "getIncidentTimeline" => incidents::timeline,
        "listIncidentPeople" => incidents::people,
        "listIncidentMessages" => incidents::messages,
        "listIncidentActions" => incidents::actions,
        "listIncidentInvestigations" => incidents::investigations,
        "listAlerts" => alerts::list,
        "getAlert" => alerts::get,
        "updateAlert" => alerts::update,
        "commentAlert" => alerts::comment,
        "getAlertStory" => alerts::story,
        "listInvestigations" => investigations::list,
        "getInvestigation" => investigations::get,
        "rerunInvestigation" => investigations::rerun,
        "cancelInvestigation" => investigations::cancel,
        "getFile" => files::get,
        "getFileMailboxes" => files::mailboxes,
        "listSightings" => files::sightings,
        "pivot" => search::pivot,
        "search" => search::search,
        "listDevices" => devices::list,
        "getDevice" => devices::get,
        "updateDevice" => devices::update,
        "revokeDevice" => devices::revoke,
        "listDeviceEvents" => devices::events,
        "listMessages" => messages::list,
        "getMessage" => messages::get,
        "listMessageDevices" => messages::devices,
        "listMessageEvents" => messages::events,
        "readMessageHeader" => messages::header,
        "exploreMail" => explorer::list,
        "groupMail" => explorer::groups,
        "countMail" => explorer::counts,
        "getMailCrawl" => mail::crawl,
        "dryRunMail" => mail::dry_run,
        "createMailBulk" => mail::create_bulk,
        "getMailBulk" => mail::get_bulk,
        "pauseMailBulk" => mail::pause_bulk,
        "resumeMailBulk" => mail::resume_bulk,
        "cancelMailBulk" => mail::cancel_bulk,
        "createVerdict" => verdicts::create,
        "listActions" => actions::list,
        "createAction" => actions::create,
        "approveActions" => actions::approve_many,
        "declineActions" => actions::decline_many,
        "orderActionAgain" => actions::again,
        "getAction" => actions::get,
        "approveAction" => actions::approve,
        "declineAction" => actions::decline,
        "cancelAction" => actions::cancel,
        "pauseAction" => actions::pause,
        "resumeAction" => actions::resume,
        "retryAction" => actions::retry,
        "disarmAction" => actions::disarm,
        "undoAction" => actions::undo,
        "listRules" => rules::list,
        "createRule" => rules::create,
        "listCorrelations" => rules::correlations,
        "getRule" => rules::get,
        "updateRule" => rules::update,
        "removeRule" => rules::remove,
        "listRuleVersions" => rules::versions,
        "listRuleQuality" => tuning::quality,
        "listTuning" => tuning::list,
        "createTuning" => tuning::create,
        "previewTuning" => tuning::preview,
        "getTuning" => tuning::get,
        "updateTuning" => tuning::update,
        "removeTuning" => tuning::remove,
        "draftTuning" => tuning::draft,
        "listIndicators" => indicators::list,
        "previewIndicator" => indicator_preview::preview,
        "explainIndicator" => indicators::why,
        "listIndicatorImports" => indicators::imports,
        "importIndicators" => indicators::import,
        "removeIndicatorImport" => indicators::remove_import,
        "listIndicatorDevices" => indicators::devices,
        "listIndicatorFeeds" => indicators::feeds,
        "runIndicatorFeed" => indicators::run_feed,
        "listIndicatorFeedRuns" => indicators::feed_runs,
        "getIndicatorFeedRun" => indicators::feed_run,
        "listIndicatorLooks" => indicators::looks,
        "lookBack" => indicators::look_back,
        "getIndicatorLook" => indicators::look,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_has_a_handler() {
        for route in routes() {
            assert!(handler(route.id, MethodFilter::GET).is_some(), "{}", route.id);
        }
    }
}
