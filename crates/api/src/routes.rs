//! The one table of routes.

use crate::*;
use hinomi_model::*;
use utoipa::openapi::path::{Parameter, ParameterIn};
use utoipa::openapi::schema::Schema;
use utoipa::openapi::{Ref, RefOr};
use utoipa::{IntoParams, ToSchema};

/// Where the routes lie.
pub const BASE: &str = "/api/v1";

/// HTTP methods in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Reads.
    Get,
    /// Makes something or does something.
    Post,
    /// Changes parts.
    Patch,
    /// Removes.
    Delete,
}

impl Method {
    /// Returns the name as in HTTP.
    pub const fn name(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Post => "POST",
            Method::Patch => "PATCH",
            Method::Delete => "DELETE",
        }
    }
}

/// A schema by reference and everything it refers to.
pub(crate) struct Body {
    pub(crate) schema: RefOr<Schema>,
    pub(crate) components: Vec<(String, RefOr<Schema>)>,
}

/// What a route answers with when all goes well.
pub(crate) enum Answer {
    /// 200 or 201 with JSON.
    Json(u16, Box<Body>),
    /// 204.
    Nothing,
    /// 200 with another media type.
    Other(&'static str, &'static str),
}

/// A route: what it needs, takes and answers.
pub struct Route {
    /// Method.
    pub method: Method,
    /// Path below [`BASE`], with `{names}`.
    pub path: &'static str,
    /// Operation id, unique; the server finds its handler by it.
    pub id: &'static str,
    /// What it does, one line.
    pub summary: &'static str,
    /// What it needs.
    pub permission: Permission,
    /// Needs proof of presence (authenticator app or passkey) within five minutes, at least for
    /// some requests.
    pub step_up: bool,
    /// Takes `If-Match`, answers `ETag`.
    pub etag: bool,
    pub(crate) idempotency: bool,
    pub(crate) query: Vec<Parameter>,
    pub(crate) body: Option<Body>,
    pub(crate) answer: Answer,
}

fn body_of<T: ToSchema>() -> Body {
    let mut components = vec![(T::name().into_owned(), T::schema())];
    T::schemas(&mut components);
    Body { schema: Ref::from_schema_name(T::name()).into(), components }
}

fn list_of<T: ToSchema>() -> Body {
    use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, SchemaType, Type};
    let inner = body_of::<T>();
    let name = format!("{}List", T::name());
    let nullable_text = SchemaType::from_iter([Type::String, Type::Null]);
    let list = ObjectBuilder::new()
        .schema_type(Type::Object)
        .description(Some("One page of a list."))
        .property("items", ArrayBuilder::new().items(inner.schema))
        .required("items")
        .property("next", ObjectBuilder::new().schema_type(nullable_text).description(Some("Cursor of the next page.")))
        .required("next")
        .property("total", ObjectBuilder::new().schema_type(Type::Integer).description(Some("How many match.")))
        .required("total");
    let mut components = inner.components;
    components.push((name.clone(), list.into()));
    Body { schema: Ref::from_schema_name(name).into(), components }
}

impl Route {
    fn new(
        method: Method,
        path: &'static str,
        id: &'static str,
        permission: Permission,
        summary: &'static str,
    ) -> Self {
        Route {
            method,
            path,
            id,
            summary,
            permission,
            step_up: false,
            etag: false,
            idempotency: false,
            query: Vec::new(),
            body: None,
            answer: Answer::Nothing,
        }
    }

    fn query<T: IntoParams>(mut self) -> Self {
        self.query.extend(T::into_params(|| Some(ParameterIn::Query)));
        self
    }

    /// Takes conditions of the mail explorer: one parameter per field.
    fn mail_conditions(mut self) -> Self {
        use utoipa::openapi::Required;
        use utoipa::openapi::path::ParameterBuilder;
        use utoipa::openapi::schema::{ObjectBuilder, Type};
        self.query.extend(MailField::ALL.iter().map(|field| {
            ParameterBuilder::new()
                .name(field.name())
                .parameter_in(ParameterIn::Query)
                .required(Required::False)
                .description(Some(field.about().trim()))
                .schema(Some(ObjectBuilder::new().schema_type(Type::String)))
                .build()
        }));
        self.query::<ExplorerQuery>()
    }

    fn takes<T: ToSchema>(mut self) -> Self {
        self.body = Some(body_of::<T>());
        self
    }

    fn gives<T: ToSchema>(mut self) -> Self {
        self.answer = Answer::Json(200, Box::new(body_of::<T>()));
        self
    }

    fn creates<T: ToSchema>(mut self) -> Self {
        self.answer = Answer::Json(201, Box::new(body_of::<T>()));
        self
    }

    fn lists<T: ToSchema>(mut self) -> Self {
        self.answer = Answer::Json(200, Box::new(list_of::<T>()));
        self
    }

    fn streams(mut self, media_type: &'static str, description: &'static str) -> Self {
        self.answer = Answer::Other(media_type, description);
        self
    }

    fn step_up(mut self) -> Self {
        self.step_up = true;
        self
    }

    fn etag(mut self) -> Self {
        self.etag = true;
        self
    }

    fn idempotent(mut self) -> Self {
        self.idempotency = true;
        self
    }
}

fn get(path: &'static str, id: &'static str, permission: Permission, summary: &'static str) -> Route {
    Route::new(Method::Get, path, id, permission, summary)
}

fn post(path: &'static str, id: &'static str, permission: Permission, summary: &'static str) -> Route {
    Route::new(Method::Post, path, id, permission, summary)
}

fn patch(path: &'static str, id: &'static str, permission: Permission, summary: &'static str) -> Route {
    Route::new(Method::Patch, path, id, permission, summary)
}

fn delete(path: &'static str, id: &'static str, permission: Permission, summary: &'static str) -> Route {
    Route::new(Method::Delete, path, id, permission, summary)
}

/// Returns every route of the API.
pub fn routes() -> Vec<Route> {
    let mut routes = Vec::with_capacity(96);
    routes.extend(door());
    routes.extend(people());
    routes.extend(cases());
    routes.extend(pivots());
    routes.extend(response());
    routes
}

fn door() -> Vec<Route> {
    use Permission::{Profile, Public, Read};
    vec![
        get("/meta", "getMeta", Public, "Tell version, language and whether setup is due").gives::<Meta>(),
        get("/health", "getHealth", Public, "Tell whether the server works").gives::<Health>(),
        get("/openapi.json", "getOpenApi", Public, "Return this document")
            .streams("application/json", "The OpenAPI document"),
        post("/auth/setup", "setUp", Public, "Make the first administrator with the one-time code")
            .takes::<SetupRequest>()
            .gives::<Me>(),
        post("/auth/login", "login", Public, "Log in by password").takes::<LoginRequest>().gives::<Me>(),
        post("/auth/passkeys/login/start", "startPasskeyLogin", Public, "Begin to log in by passkey")
            .takes::<PasskeyLoginStart>()
            .gives::<PasskeyChallenge>(),
        post("/auth/passkeys/login/finish", "finishPasskeyLogin", Public, "Log in by passkey")
            .takes::<PasskeyFinish>()
            .gives::<Me>(),
        post("/auth/logout", "logout", Profile, "End this session"),
        get("/auth/me", "getMe", Profile, "Tell who is logged in").gives::<Me>(),
        patch("/auth/me", "updateMe", Profile, "Change the own profile").takes::<UpdateMe>().gives::<Me>(),
        get("/auth/sessions", "listSessions", Profile, "List the own sessions").lists::<SessionInfo>(),
        delete("/auth/sessions", "endOtherSessions", Profile, "End every own session but this one"),
        delete("/auth/sessions/{id}", "endSession", Profile, "End one of the own sessions"),
        post("/auth/totp/start", "startTotp", Profile, "Begin to set up an authenticator app").gives::<TotpStart>(),
        post("/auth/totp/finish", "finishTotp", Profile, "Set up the authenticator app by its first code")
            .takes::<TotpCode>()
            .gives::<Me>(),
        post("/auth/passkeys/register/start", "startPasskeyRegistration", Profile, "Begin to register a passkey")
            .gives::<PasskeyChallenge>(),
        post("/auth/passkeys/register/finish", "finishPasskeyRegistration", Profile, "Register the passkey")
            .takes::<PasskeyRegisterFinish>()
            .gives::<Me>(),
        delete("/auth/passkeys/{name}", "removePasskey", Profile, "Remove one of the own passkeys")
            .step_up()
            .gives::<Me>(),
        post(
            "/auth/confirm-password",
            "confirmPassword",
            Profile,
            "Confirm the password, to add a first second factor",
        )
        .takes::<PasswordProof>(),
        post("/auth/step-up/totp", "stepUpTotp", Profile, "Prove presence by authenticator app")
            .takes::<TotpCode>()
            .gives::<StepUp>(),
        post("/auth/step-up/passkey/start", "startStepUpPasskey", Profile, "Begin to prove presence by passkey")
            .gives::<PasskeyChallenge>(),
        post("/auth/step-up/passkey/finish", "finishStepUpPasskey", Profile, "Prove presence by passkey")
            .takes::<PasskeyFinish>()
            .gives::<StepUp>(),
        get("/stream", "getStream", Read, "Follow changes live").streams("text/event-stream", "Events: StreamEvent"),
    ]
}

fn people() -> Vec<Route> {
    use Permission::{Administer, Audit, Read};
    vec![
        get("/users", "listUsers", Administer, "List the users").query::<PageQuery>().lists::<User>(),
        post("/users", "createUser", Administer, "Make a user").step_up().takes::<NewUser>().creates::<User>(),
        patch("/users/{id}", "updateUser", Administer, "Change a user")
            .step_up()
            .etag()
            .takes::<UpdateUser>()
            .gives::<User>(),
        get("/tokens", "listTokens", Administer, "List the API tokens").query::<PageQuery>().lists::<ApiToken>(),
        post("/tokens", "createToken", Administer, "Make an API token")
            .step_up()
            .takes::<NewApiToken>()
            .creates::<CreatedApiToken>(),
        delete("/tokens/{id}", "revokeToken", Administer, "Revoke an API token"),
        get("/enrolment-tokens", "listEnrolmentTokens", Administer, "List the enrolment tokens")
            .query::<PageQuery>()
            .lists::<EnrolmentTokenInfo>(),
        post("/enrolment-tokens", "createEnrolmentToken", Administer, "Make an enrolment token")
            .takes::<NewEnrolmentToken>()
            .creates::<CreatedEnrolmentToken>(),
        get("/notifications", "listNotifications", Administer, "List what was told outside the console, newest first")
            .query::<NotificationQuery>()
            .lists::<Notification>(),
        post("/notifications/{id}/resend", "resendNotification", Administer, "Send again what was given up")
            .gives::<Notification>(),
        get("/notifications/channels", "listNotificationChannels", Administer, "List the channels of notifications")
            .gives::<NotificationChannels>(),
        post("/notifications/channels/{name}/test", "testNotificationChannel", Administer, "Send a test to a channel")
            .gives::<ChannelTest>(),
        get("/audit", "listAudit", Audit, "Read the audit log, newest first")
            .query::<AuditQuery>()
            .lists::<AuditRecord>(),
        get("/audit/verify", "verifyAudit", Audit, "Walk the hash chain of the audit log").gives::<AuditVerification>(),
        get("/audit/export", "exportAudit", Audit, "Export the audit log, oldest first")
            .streams("application/x-ndjson", "One AuditRecord per line"),
        get("/directory", "listDirectory", Read, "List people with their accounts and mailboxes")
            .query::<DirectoryQuery>()
            .lists::<Person>(),
        get("/directory/status", "getDirectoryStatus", Administer, "Tell how the last reading by LDAP went")
            .gives::<DirectoryStatus>(),
        post("/directory/import", "importDirectory", Administer, "Take in people from a CSV file")
            .takes::<DirectoryImport>()
            .gives::<DirectoryChange>(),
        post("/directory/sync", "syncDirectory", Administer, "Read the LDAP directory now").gives::<DirectoryChange>(),
        get("/demos", "listDemos", Administer, "List demos, newest first").query::<PageQuery>().lists::<DemoStatus>(),
        post("/demos", "playDemo", Administer, "Play a scenario into this server")
            .takes::<PlayDemo>()
            .creates::<DemoStatus>(),
        get("/demos/{id}", "getDemo", Administer, "Read a demo and what it came to").gives::<DemoStatus>(),
        delete("/demos/{id}", "removeDemo", Administer, "Remove a demo without trace; goes on in the background")
            .gives::<DemoStatus>(),
        get("/settings", "getSettings", Read, "Read the settings").etag().gives::<Settings>(),
        patch("/settings", "updateSettings", Administer, "Change settings")
            .etag()
            .takes::<UpdateSettings>()
            .gives::<Settings>(),
        get("/automation", "getAutomation", Read, "Read what may happen without a person")
            .etag()
            .gives::<AutomationPolicy>(),
        patch("/automation", "updateAutomation", Administer, "Change what may happen without a person")
            .etag()
            .takes::<UpdateAutomation>()
            .gives::<AutomationPolicy>(),
        post("/automation/preview", "previewAutomation", Read, "Tell what a policy would have done lately")
            .takes::<PreviewAutomation>()
            .gives::<AutomationPreview>(),
        post("/mail/connectors/{name}/test", "testConnector", Administer, "Check a mail connector with a probe mail")
            .takes::<TestConnector>()
            .gives::<ConnectorTest>(),
    ]
}

fn cases() -> Vec<Route> {
    use Permission::{Act, Read, Triage};
    vec![
        get("/incidents", "listIncidents", Read, "List incidents").query::<IncidentQuery>().lists::<IncidentSummary>(),
        get("/incidents/{id}", "getIncident", Read, "Read an incident by id or number")
            .etag()
            .gives::<IncidentDetail>(),
        patch("/incidents/{id}", "updateIncident", Triage, "Change an incident")
            .etag()
            .takes::<UpdateIncident>()
            .gives::<IncidentDetail>(),
        post("/incidents/{id}/comments", "commentIncident", Triage, "Add a remark to an incident")
            .takes::<NewComment>()
            .creates::<Comment>(),
        post("/incidents/{id}/merge", "mergeIncidents", Triage, "Merge other incidents into it")
            .etag()
            .takes::<MergeIncidents>()
            .gives::<IncidentDetail>(),
        post(
            "/incidents/{id}/unmerge",
            "unmergeIncident",
            Triage,
            "Take it out of the one it was merged into, for 30 days",
        )
        .takes::<UnmergeIncident>()
        .gives::<IncidentDetail>(),
        post("/alerts/move", "moveAlerts", Triage, "Move alerts to another incident, or to a new one")
            .takes::<MoveAlerts>()
            .gives::<IncidentDetail>(),
        get("/incidents/{id}/alerts", "listIncidentAlerts", Read, "List its alerts, each with why it belongs")
            .lists::<AlertSummary>(),
        get("/incidents/{id}/evidence", "listIncidentEvidence", Read, "List its evidence").lists::<Evidence>(),
        get("/incidents/{id}/timeline", "getIncidentTimeline", Read, "Read its ATT&CK timeline")
            .gives::<IncidentTimeline>(),
        get("/incidents/{id}/messages", "listIncidentMessages", Read, "List the message copies of its story")
            .lists::<MessageCopy>(),
        get("/incidents/{id}/people", "listIncidentPeople", Read, "List whose accounts and mailboxes it involves")
            .lists::<InvolvedPerson>(),
        get("/incidents/{id}/actions", "listIncidentActions", Read, "List its actions").lists::<Action>(),
        get("/incidents/{id}/investigations", "listIncidentInvestigations", Read, "List its investigations")
            .lists::<InvestigationSummary>(),
        get("/alerts", "listAlerts", Read, "List alerts, newest first").query::<AlertQuery>().lists::<AlertSummary>(),
        get("/alerts/{id}", "getAlert", Read, "Read an alert").etag().gives::<AlertDetail>(),
        patch("/alerts/{id}", "updateAlert", Triage, "Change an alert")
            .etag()
            .takes::<UpdateAlert>()
            .gives::<AlertDetail>(),
        post("/alerts/{id}/comments", "commentAlert", Triage, "Add a remark to an alert")
            .takes::<NewComment>()
            .creates::<Comment>(),
        get("/alerts/{id}/story", "getAlertStory", Read, "Read its process tree").gives::<AlertStory>(),
        get("/alerts/{id}/tuning", "draftTuning", Read, "Draft a tuning rule for alerts like this one")
            .gives::<NewTuningRule>(),
        get("/investigations", "listInvestigations", Read, "List investigations, newest first")
            .query::<InvestigationQuery>()
            .lists::<InvestigationSummary>(),
        get("/investigations/{id}", "getInvestigation", Read, "Read an investigation").etag().gives::<Investigation>(),
        post("/investigations/{id}/rerun", "rerunInvestigation", Act, "Run it again, or from a step")
            .takes::<Rerun>()
            .gives::<Investigation>(),
        post("/investigations/{id}/cancel", "cancelInvestigation", Act, "Stop it").gives::<Investigation>(),
    ]
}

fn pivots() -> Vec<Route> {
    use Permission::{Act, Administer, Read, Triage};
    vec![
        get("/files/{sha256}", "getFile", Read, "Tell which devices and messages had a file").gives::<FilePage>(),
        get("/files/{sha256}/mailboxes", "getFileMailboxes", Read, "Ask which mailboxes hold a file now")
            .gives::<FileMailboxes>(),
        get("/sightings", "listSightings", Read, "List who had a value").query::<SightingQuery>().lists::<Sighting>(),
        get("/pivot", "pivot", Read, "Tell where a value leads: devices, mailboxes, people, alerts")
            .query::<PivotRequest>()
            .gives::<Pivot>(),
        get("/search", "search", Read, "Search everything").query::<SearchQuery>().gives::<SearchAnswer>(),
        get("/devices", "listDevices", Read, "List devices").query::<DeviceQuery>().lists::<Device>(),
        get("/devices/{id}", "getDevice", Read, "Read a device").etag().gives::<Device>(),
        patch("/devices/{id}", "updateDevice", Triage, "Change tags and automation level of a device")
            .etag()
            .takes::<UpdateDevice>()
            .gives::<Device>(),
        post("/devices/{id}/revoke", "revokeDevice", Administer, "Revoke the certificate of a device")
            .step_up()
            .gives::<Device>(),
        get("/devices/{id}/events", "listDeviceEvents", Read, "List its events, newest first")
            .query::<DeviceEventQuery>()
            .gives::<EventList>(),
        get("/messages", "listMessages", Read, "List message copies, newest first")
            .query::<MessageQuery>()
            .lists::<MessageCopy>(),
        get("/mail/explorer", "exploreMail", Read, "List messages with their recipients, newest first")
            .mail_conditions()
            .gives::<ExplorerPage>(),
        get("/mail/explorer/groups", "groupMail", Read, "Group messages that are alike, largest groups first")
            .mail_conditions()
            .query::<GroupQuery>()
            .gives::<ExplorerGroups>(),
        get("/mail/explorer/counts", "countMail", Read, "Count messages over time")
            .mail_conditions()
            .query::<PivotQuery>()
            .gives::<ExplorerCounts>(),
        get("/mail/crawl", "getMailCrawl", Read, "Tell how far the mailboxes were read in the background")
            .gives::<CrawlStatus>(),
        post("/mail/dry-run", "dryRunMail", Act, "Tell what a removal would touch, asked live in every mailbox")
            .takes::<DryRun>()
            .gives::<DryRunResult>(),
        post("/mail/bulk", "createMailBulk", Act, "Move or remove whatever a filter picks, in batches")
            .step_up()
            .idempotent()
            .takes::<NewMailBulk>()
            .creates::<MailBulk>(),
        get("/mail/bulk/{id}", "getMailBulk", Read, "Read a bulk action with the actions made of it")
            .gives::<MailBulk>(),
        post("/mail/bulk/{id}/pause", "pauseMailBulk", Act, "Hold a bulk action and every action made of it")
            .gives::<MailBulk>(),
        post("/mail/bulk/{id}/resume", "resumeMailBulk", Act, "Go on with a held bulk action").gives::<MailBulk>(),
        post("/mail/bulk/{id}/cancel", "cancelMailBulk", Act, "Stop a bulk action and every action made of it")
            .gives::<MailBulk>(),
        post("/verdicts", "createVerdict", Triage, "Hand in the verdict of a sandbox or scanner")
            .idempotent()
            .takes::<NewVerdict>()
            .creates::<StoredVerdict>(),
        get(
            "/messages/{message_id}/devices",
            "listMessageDevices",
            Read,
            "List devices that had a file of the message",
        )
        .lists::<PivotDevice>(),
        get(
            "/messages/{message_id}/events",
            "listMessageEvents",
            Read,
            "List what happened to its copies after delivery",
        )
        .gives::<EventList>(),
        post("/messages/{message_id}/header", "readMessageHeader", Triage, "Read its header from a mailbox, on record")
            .takes::<ReadHeader>()
            .gives::<MessageHeader>(),
        get("/messages/{message_id}", "getMessage", Read, "List every copy of a message").lists::<MessageCopy>(),
    ]
}

fn response() -> Vec<Route> {
    use Permission::{Act, Administer, Read};
    vec![
        get("/actions", "listActions", Read, "List actions, newest first").query::<ActionQuery>().lists::<Action>(),
        post("/actions", "createAction", Act, "Order or propose an action")
            .step_up()
            .idempotent()
            .takes::<NewAction>()
            .creates::<Action>(),
        post("/actions/approve", "approveActions", Act, "Approve several actions")
            .step_up()
            .takes::<ApproveActions>()
            .gives::<ApprovedActions>(),
        post("/actions/decline", "declineActions", Act, "Decline several actions")
            .takes::<ApproveActions>()
            .gives::<ApprovedActions>(),
        get("/actions/{id}", "getAction", Read, "Read an action with its receipts").etag().gives::<Action>(),
        post("/actions/{id}/approve", "approveAction", Act, "Approve an action")
            .step_up()
            .takes::<Decision>()
            .gives::<Action>(),
        post("/actions/{id}/decline", "declineAction", Act, "Decline an action").takes::<Decision>().gives::<Action>(),
        post("/actions/{id}/cancel", "cancelAction", Act, "Withdraw an action, or stop a running one on mail")
            .takes::<Decision>()
            .gives::<Action>(),
        post("/actions/{id}/pause", "pauseAction", Act, "Hold a running action on mail")
            .takes::<Decision>()
            .gives::<Action>(),
        post("/actions/{id}/resume", "resumeAction", Act, "Go on with a held action")
            .takes::<Decision>()
            .gives::<Action>(),
        post("/actions/{id}/retry", "retryAction", Act, "Try the targets that failed once more")
            .step_up()
            .takes::<Decision>()
            .gives::<Action>(),
        post("/actions/{id}/disarm", "disarmAction", Act, "Stop treating late copies of an action's mails")
            .takes::<Decision>()
            .gives::<Action>(),
        post("/actions/{id}/again", "orderActionAgain", Act, "Order an action again that expired or was declined")
            .step_up()
            .takes::<Decision>()
            .gives::<Action>(),
        post("/actions/{id}/undo", "undoAction", Act, "Undo an action; answers the action that undoes it")
            .takes::<Decision>()
            .gives::<Action>(),
        get("/rules", "listRules", Read, "List the detection rules").query::<RuleQuery>().lists::<ManagedRule>(),
        post("/rules", "createRule", Administer, "Add a detection rule, a draft unless told otherwise")
            .takes::<NewRule>()
            .creates::<ManagedRule>(),
        get("/rules/correlations", "listCorrelations", Read, "Tell what correlation rules keep and what they dropped")
            .lists::<CorrelationStatus>(),
        get("/rules/quality", "listRuleQuality", Read, "Tell how the alerts of detection rules were classified")
            .lists::<RuleQuality>(),
        get("/rules/{id}", "getRule", Read, "Tell what is decided about a rule").gives::<ManagedRule>().etag(),
        patch("/rules/{id}", "updateRule", Administer, "Decide what comes of a rule, or change its text")
            .takes::<UpdateRule>()
            .gives::<ManagedRule>()
            .etag(),
        delete("/rules/{id}", "removeRule", Administer, "Remove a rule; one that ships is as it was delivered again")
            .gives::<ManagedRule>(),
        get("/rules/{id}/versions", "listRuleVersions", Read, "List what was decided about a rule, newest first")
            .lists::<RuleEntry>(),
        get("/tuning", "listTuning", Read, "List the tuning rules, newest first")
            .query::<TuningQuery>()
            .lists::<TuningRule>(),
        post("/tuning", "createTuning", Act, "Make a tuning rule: alerts like these are hidden, resolved or lowered")
            .takes::<NewTuningRule>()
            .creates::<TuningRule>(),
        post("/tuning/preview", "previewTuning", Act, "Tell what a tuning rule would have done in the last 30 days")
            .takes::<NewTuningRule>()
            .gives::<TuningPreview>(),
        get("/tuning/{id}", "getTuning", Read, "Read a tuning rule").etag().gives::<TuningRule>(),
        patch("/tuning/{id}", "updateTuning", Act, "Change a tuning rule, turn it on or off")
            .etag()
            .takes::<UpdateTuningRule>()
            .gives::<TuningRule>(),
        delete("/tuning/{id}", "removeTuning", Act, "Remove a tuning rule; what it hid stays hidden")
            .gives::<TuningRule>(),
        get("/indicators", "listIndicators", Read, "List the indicators in force")
            .query::<IndicatorQuery>()
            .lists::<Indicator>(),
        get(
            "/indicators/preview",
            "previewIndicator",
            Read,
            "Tell what an indicator would have matched in the last 30 days",
        )
        .query::<IndicatorPreviewQuery>()
        .gives::<IndicatorPreview>(),
        get("/indicators/why", "explainIndicator", Read, "Tell what decides about a value, and why")
            .query::<WhyQuery>()
            .gives::<IndicatorWhy>(),
        get("/indicators/imports", "listIndicatorImports", Read, "List the lists of indicators taken in, newest first")
            .query::<PageQuery>()
            .lists::<IndicatorImport>(),
        post("/indicators/imports", "importIndicators", Act, "Take in a list of indicators, or tell what it would do")
            .step_up()
            .takes::<NewIndicatorImport>()
            .creates::<IndicatorImport>(),
        get("/indicators/{id}/devices", "listIndicatorDevices", Read, "Tell which devices have an indicator in force")
            .gives::<IndicatorReach>(),
        get("/indicators/feeds", "listIndicatorFeeds", Read, "List the feeds of indicators and how they do")
            .lists::<IndicatorFeed>(),
        post("/indicators/feeds/{name}/runs", "runIndicatorFeed", Act, "Fetch a feed now, or tell what it would do")
            .takes::<NewFeedRun>()
            .creates::<FeedRun>(),
        get("/indicators/feeds/{name}/runs", "listIndicatorFeedRuns", Read, "List what a feed brought, newest first")
            .query::<PageQuery>()
            .lists::<FeedRun>(),
        get("/indicators/feed-runs/{id}", "getIndicatorFeedRun", Read, "Tell what one fetch of a feed brought")
            .gives::<FeedRun>(),
        get("/indicators/looks", "listIndicatorLooks", Read, "List looks back for indicators, newest first")
            .query::<PageQuery>()
            .lists::<IndicatorLook>(),
        post("/indicators/looks", "lookBack", Act, "Compare indicators with the events and mail that are there")
            .takes::<NewIndicatorLook>()
            .creates::<IndicatorLook>(),
        get("/indicators/looks/{id}", "getIndicatorLook", Read, "Tell how far a look back is and what it found")
            .gives::<IndicatorLook>(),
        delete("/indicators/imports/{id}", "removeIndicatorImport", Act, "Take out what a list added")
            .step_up()
            .gives::<IndicatorImport>(),
    ]
}
