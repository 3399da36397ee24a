//! Which tables and columns a Sigma log source and its fields mean.

/// The mapping of Sigma log sources and field names to hunting tables and columns.
#[derive(Debug, Clone, Default)]
pub struct FieldMap {}
