//! Newtype ids: time-ordered UUIDs made by the house, never here.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use uuid::Uuid;

macro_rules! id {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        #[cfg(feature = "openapi")]
        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
                utoipa::openapi::ObjectBuilder::new()
                    .schema_type(utoipa::openapi::schema::Type::String)
                    .format(Some(utoipa::openapi::SchemaFormat::Custom("uuid".to_owned())))
                    .into()
            }
        }

        #[cfg(feature = "openapi")]
        impl utoipa::ToSchema for $name {}

        impl FromStr for $name {
            type Err = uuid::Error;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::parse_str(text).map($name)
            }
        }

        impl $name {
            /// Returns the demo it belongs to; none for everything real.
            pub fn demo(self) -> Option<DemoId> {
                DemoId::of(self.0)
            }
        }

        impl From<Uuid> for $name {
            fn from(id: Uuid) -> Self {
                $name(id)
            }
        }
    )*};
}

id! {
    /// A device: one enrolled sensor.
    DeviceId;
    /// An alert.
    AlertId;
    /// An incident; people see its number instead.
    IncidentId;
    /// An automated investigation.
    InvestigationId;
    /// An action: something we did or propose.
    ActionId;
    /// An indicator: a value an administrator allows or blocks.
    IndicatorId;
    /// A list of indicators that was taken in.
    ImportId;
    /// One time a feed of indicators was fetched.
    FeedRunId;
    /// A look back for new indicators.
    LookId;
    /// A message as the gateway saw it (NetworkMessageId); with a recipient it is one mailbox copy.
    MessageId;
    /// A console user.
    UserId;
    /// A login session.
    SessionId;
    /// An API or enrolment token.
    TokenId;
    /// A background job.
    JobId;
    /// A signed command to a sensor.
    CommandId;
    /// A notification to one channel.
    NotificationId;
    /// A tuning rule: what is decided about alerts before they are made.
    TuningId;
    /// A demo: a scenario played into a server. See [`DemoId::of`].
    DemoId;
}
