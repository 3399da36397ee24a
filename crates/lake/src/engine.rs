//! DataFusion, set up for the lake.

use crate::error::Result;
use crate::files::Held;
use crate::schema::schema_of;
use datafusion::common::DFSchema;
use datafusion::dataframe::DataFrame;
use datafusion::datasource::file_format::parquet::ParquetFormat;
use datafusion::datasource::listing::{ListingOptions, ListingTable, ListingTableConfig, ListingTableUrl};
use datafusion::execution::context::SessionContext;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::logical_expr::Expr;
use datafusion::physical_plan::PhysicalExpr;
use datafusion::prelude::SessionConfig;
use hinomi_model::Table;
use object_store::local::LocalFileSystem;
use std::path::Path;
use std::sync::Arc;

/// Memory all queries together may take; beyond it sorts go to disk and others fail.
const MEMORY_BYTES: usize = 512 * 1024 * 1024;
/// Parquet metadata and page indexes kept between queries.
const METADATA_CACHE_BYTES: usize = 64 * 1024 * 1024;
const PARTITIONS: usize = 2;
/// Our files as the engine names them.
const STORE_URL: &str = "lake://files/";

/// The engine; cheap to clone.
#[derive(Clone)]
pub(crate) struct Engine {
    session: SessionContext,
}

impl Engine {
    /// Sets up the engine over the files below `root`.
    pub fn new(root: &Path) -> Result<Engine> {
        let mut config = SessionConfig::new().with_target_partitions(PARTITIONS).with_information_schema(false);
        let options = config.options_mut();
        options.execution.collect_statistics = false;
        options.execution.parquet.pushdown_filters = true;
        options.execution.parquet.reorder_filters = true;
        options.execution.parquet.bloom_filter_on_read = true;
        options.execution.parquet.enable_page_index = true;
        let runtime = RuntimeEnvBuilder::new()
            .with_memory_limit(MEMORY_BYTES, 1.0)
            .with_metadata_cache_limit(METADATA_CACHE_BYTES)
            .build_arc()?;
        let files = LocalFileSystem::new_with_prefix(root)
            .map_err(|error| crate::LakeError::file(root, std::io::Error::other(error)))?;
        let url = url::Url::parse(STORE_URL).expect("a constant URL");
        runtime.register_object_store(&url, Arc::new(files));
        Ok(Engine { session: SessionContext::new_with_config_rt(config, runtime) })
    }

    /// Makes an expression ready to be tried on batches of a table.
    pub fn expression(&self, table: Table, expression: Expr) -> Result<Arc<dyn PhysicalExpr>> {
        let schema = DFSchema::try_from(schema_of(table))?;
        Ok(self.session.create_physical_expr(expression, &schema)?)
    }

    /// Returns the rows of some files of one table, unordered.
    pub fn rows(&self, table: Table, files: &[Arc<Held>]) -> Result<DataFrame> {
        let urls = files.iter().map(|held| ListingTableUrl::parse(format!("{STORE_URL}{}", held.file.path)));
        let urls = urls.collect::<datafusion::error::Result<Vec<_>>>()?;
        let options = ListingOptions::new(Arc::new(ParquetFormat::default().with_enable_pruning(true)));
        let config =
            ListingTableConfig::new_with_multi_paths(urls).with_listing_options(options).with_schema(schema_of(table));
        Ok(self.session.read_table(Arc::new(ListingTable::try_new(config)?))?)
    }
}
