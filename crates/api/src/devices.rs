//! Devices and their events.

use hinomi_model::{AutomationLevel, Event, Table, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Filter of the devices.
#[derive(Debug, Clone, Default, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct DeviceQuery {
    /// Part of the name, an address, a user, the system or a tag.
    pub text: Option<String>,
    /// Health, words separated by commas.
    pub health: Option<String>,
    /// Connected now or not.
    pub online: Option<bool>,
    /// Cursor of the page before.
    pub cursor: Option<String>,
    /// Page size, at most 200.
    pub limit: Option<u32>,
}

/// Changes a device. Fields left out stay.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct UpdateDevice {
    /// Tags, all of them: at most 50 of 100 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tags: Option<Vec<String>>,
    /// Automation level; null: the server's default.
    #[serde(deserialize_with = "crate::nullable", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<AutomationLevel>)]
    pub automation_level: Option<Option<AutomationLevel>>,
}

/// Filter of the events of a device.
#[derive(Debug, Clone, Default, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct DeviceEventQuery {
    /// Not before; the last seven days when left out.
    pub from: Option<Timestamp>,
    /// Before.
    pub to: Option<Timestamp>,
    /// Tables, separated by commas (`DeviceProcessEvents,DeviceFileEvents`); all when left out.
    pub table: Option<String>,
    /// Part of a file name, path, command line, address or name asked.
    pub text: Option<String>,
    /// Cursor of the page before.
    pub cursor: Option<String>,
    /// Page size, at most 200.
    pub limit: Option<u32>,
}

/// A row of a hunting table as one object: `Table`, `Timestamp` and the columns that are set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EventRow(pub Event);

impl utoipa::PartialSchema for EventRow {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        use utoipa::openapi::schema::{AdditionalProperties, ObjectBuilder, Type};
        ObjectBuilder::new()
            .schema_type(Type::Object)
            .description(Some("A row of a hunting table: `Table`, `Timestamp` and the columns that are set"))
            .property("Table", utoipa::openapi::Ref::from_schema_name("Table"))
            .required("Table")
            .property("Timestamp", <Timestamp as utoipa::PartialSchema>::schema())
            .required("Timestamp")
            .additional_properties(Some(AdditionalProperties::<utoipa::openapi::schema::Schema>::FreeForm(true)))
            .into()
    }
}

impl ToSchema for EventRow {
    fn schemas(schemas: &mut Vec<(String, utoipa::openapi::RefOr<utoipa::openapi::schema::Schema>)>) {
        schemas.push((Table::name_of_schema(), <Table as utoipa::PartialSchema>::schema()));
    }
}

trait SchemaName {
    fn name_of_schema() -> String;
}

impl<T: ToSchema> SchemaName for T {
    fn name_of_schema() -> String {
        T::name().into_owned()
    }
}

/// Events, newest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct EventList {
    /// The page.
    pub items: Vec<EventRow>,
    /// Cursor of the next page; none at the end.
    pub next: Option<String>,
}
