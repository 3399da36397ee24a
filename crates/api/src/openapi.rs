//! The OpenAPI document, made from the table of routes.

use crate::routes::{Answer, BASE, Method, Route, routes};
use crate::{Permission, Problem, StreamEvent};
use hinomi_model::*;
use std::collections::{BTreeMap, BTreeSet};
use utoipa::ToSchema;
use utoipa::openapi::path::{HttpMethod, OperationBuilder, ParameterBuilder, ParameterIn, PathsBuilder};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::{ComponentsBuilder, Content, InfoBuilder, OpenApiBuilder, Ref, RefOr, Required, ResponseBuilder};

/// Returns the OpenAPI document as JSON.
pub fn document(version: &str) -> serde_json::Value {
    let mut components = Components::default();
    let mut paths = PathsBuilder::new().build();
    for route in routes() {
        let path = format!("{BASE}{}", route.path);
        let method = match route.method {
            Method::Get => HttpMethod::Get,
            Method::Post => HttpMethod::Post,
            Method::Patch => HttpMethod::Patch,
            Method::Delete => HttpMethod::Delete,
        };
        paths.add_path_operation(path, vec![method], operation(route, &mut components));
    }
    components.add::<Problem>();
    components.add::<StreamEvent>();
    components.add_parameter_types();
    let info = InfoBuilder::new()
        .title("Hinomi")
        .version(version)
        .description(Some("The API of the Hinomi server. Conventions: docs/api.md."))
        .build();
    let document = OpenApiBuilder::new().info(info).paths(paths).components(Some(components.build())).build();
    let mut document = serde_json::to_value(document).expect("an OpenAPI document always serialises");
    drop_null_defaults(&mut document);
    require_what_is_always_answered(&mut document);
    sorted(document)
}

/// Sorts the keys of every object: whether `serde_json` keeps the order of insertion depends on
/// what else is built, and the document must not.
fn sorted(value: serde_json::Value) -> serde_json::Value {
    match value {
        serde_json::Value::Object(map) => {
            let map: BTreeMap<String, serde_json::Value> = map.into_iter().collect();
            serde_json::Value::Object(map.into_iter().map(|(key, value)| (key, sorted(value))).collect())
        }
        serde_json::Value::Array(items) => serde_json::Value::Array(items.into_iter().map(sorted).collect()),
        other => other,
    }
}

/// Removes `default: null`: generators of typed clients take a default for "always present".
fn drop_null_defaults(value: &mut serde_json::Value) {
    match value {
        serde_json::Value::Object(map) => {
            if map.get("default").is_some_and(serde_json::Value::is_null) {
                map.remove("default");
            }
            map.values_mut().for_each(drop_null_defaults);
        }
        serde_json::Value::Array(items) => items.iter_mut().for_each(drop_null_defaults),
        _ => {}
    }
}

/// Fields that are left out of answers when they are empty; every other field is always there,
/// null when empty.
const LEFT_OUT: &[(&str, &str)] = &[("Problem", "field"), ("Problem", "current"), ("StreamEvent", "number")];

/// Marks the fields of schemas that only stand in answers as required.
fn require_what_is_always_answered(document: &mut serde_json::Value) {
    let mut asked = BTreeSet::new();
    for path in document["paths"].as_object().into_iter().flat_map(|paths| paths.values()) {
        for operation in path.as_object().into_iter().flat_map(|path| path.values()) {
            collect_references(&operation["requestBody"], document, &mut asked);
        }
    }
    let Some(schemas) = document["components"]["schemas"].as_object_mut() else { return };
    for (name, schema) in schemas.iter_mut().filter(|(name, _)| !asked.contains(*name)) {
        require_fields(name, schema);
    }
}

fn require_fields(name: &str, schema: &mut serde_json::Value) {
    for key in ["allOf", "oneOf"] {
        if let Some(parts) = schema.get_mut(key).and_then(serde_json::Value::as_array_mut) {
            parts.iter_mut().for_each(|part| require_fields(name, part));
        }
    }
    let Some(properties) = schema.get("properties").and_then(serde_json::Value::as_object) else { return };
    let required: Vec<&String> =
        properties.keys().filter(|field| !LEFT_OUT.contains(&(name, field.as_str()))).collect();
    let required: BTreeSet<&String> = required.into_iter().collect();
    let required = serde_json::json!(required);
    schema["required"] = required;
}

fn collect_references(value: &serde_json::Value, document: &serde_json::Value, found: &mut BTreeSet<String>) {
    match value {
        serde_json::Value::Object(map) => {
            let target = map.get("$ref").and_then(serde_json::Value::as_str);
            if let Some(name) = target.and_then(|target| target.strip_prefix("#/components/schemas/"))
                && found.insert(name.to_owned())
            {
                collect_references(&document["components"]["schemas"][name], document, found);
            }
            map.values().for_each(|value| collect_references(value, document, found));
        }
        serde_json::Value::Array(items) => items.iter().for_each(|item| collect_references(item, document, found)),
        _ => {}
    }
}

/// Returns the document as text, as it is checked in.
pub fn text(version: &str) -> String {
    let mut text = serde_json::to_string_pretty(&document(version)).expect("a JSON value always serialises");
    text.push('\n');
    text
}

#[derive(Default)]
struct Components(BTreeMap<String, RefOr<Schema>>);

impl Components {
    fn add<T: ToSchema>(&mut self) {
        let mut found = vec![(T::name().into_owned(), T::schema())];
        T::schemas(&mut found);
        self.0.extend(found);
    }

    /// Types that stand in query parameters, which carry no components of their own.
    fn add_parameter_types(&mut self) {
        self.add::<DeviceId>();
        self.add::<IncidentId>();
        self.add::<InvestigationId>();
        self.add::<Timestamp>();
        self.add::<ServiceSource>();
        self.add::<EntityKind>();
    }

    fn build(self) -> utoipa::openapi::Components {
        let cookie = SecurityScheme::ApiKey(ApiKey::Cookie(ApiKeyValue::new("__Host-hinomi")));
        let bearer = SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build());
        ComponentsBuilder::new()
            .schemas_from_iter(self.0)
            .security_scheme("session", cookie)
            .security_scheme("token", bearer)
            .build()
    }
}

fn operation(route: Route, components: &mut Components) -> OperationBuilder {
    let tag = route.path.trim_start_matches('/').split('/').next().unwrap_or_default();
    let mut operation = OperationBuilder::new()
        .operation_id(Some(route.id))
        .summary(Some(route.summary))
        .description(Some(description(&route)))
        .tag(tag);
    for name in path_names(route.path) {
        let parameter = ParameterBuilder::new()
            .name(name)
            .parameter_in(ParameterIn::Path)
            .required(Required::True)
            .schema(Some(ObjectBuilder::new().schema_type(Type::String)));
        operation = operation.parameter(parameter);
    }
    for parameter in route.query {
        operation = operation.parameter(parameter);
    }
    if route.etag && route.method != Method::Get {
        operation = operation
            .parameter(header("If-Match", "The ETag the change is based on; 412 when it is not the current one"));
    }
    if route.idempotency {
        operation = operation.parameter(header("Idempotency-Key", "The same key never acts twice"));
    }
    if let Some(body) = route.body {
        components.0.extend(body.components);
        let body = RequestBodyBuilder::new()
            .content("application/json", Content::new(Some(body.schema)))
            .required(Some(Required::True))
            .build();
        operation = operation.request_body(Some(body));
    }
    operation = match route.answer {
        Answer::Json(status, body) => {
            components.0.extend(body.components);
            let response =
                ResponseBuilder::new().description("Done").content("application/json", Content::new(Some(body.schema)));
            operation.response(status.to_string(), response)
        }
        Answer::Nothing => operation.response("204", ResponseBuilder::new().description("Done")),
        Answer::Other(media_type, description) => {
            let schema = ObjectBuilder::new().schema_type(Type::String);
            let schema: RefOr<Schema> = match media_type {
                "application/json" => ObjectBuilder::new().schema_type(Type::Object).into(),
                _ => schema.into(),
            };
            let response =
                ResponseBuilder::new().description(description).content(media_type, Content::new(Some(schema)));
            operation.response("200", response)
        }
    };
    let problem = ResponseBuilder::new()
        .description("Not done")
        .content("application/problem+json", Content::new(Some(Ref::from_schema_name("Problem"))));
    operation = operation.response("default", problem);
    match route.permission {
        Permission::Public => operation,
        Permission::Profile => operation.security(SecurityRequirement::new("session", [""; 0])),
        _ => operation
            .security(SecurityRequirement::new("session", [""; 0]))
            .security(SecurityRequirement::new("token", [""; 0])),
    }
}

fn description(route: &Route) -> String {
    let permission = serde_json::to_value(route.permission).unwrap_or_default();
    let mut text = format!("Permission: {}.", permission.as_str().unwrap_or_default());
    if route.step_up {
        text.push_str(" Dangerous requests need step-up (403 `step_up_required`).");
    }
    text
}

fn header(name: &str, description: &str) -> ParameterBuilder {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some(description))
        .schema(Some(ObjectBuilder::new().schema_type(Type::String)))
}

fn path_names(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
}
