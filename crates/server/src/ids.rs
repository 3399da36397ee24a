//! New ids: time-ordered UUIDs (version 7; version 8 in demos), made nowhere else.

use hinomi_model::DemoId;
use uuid::Uuid;

/// Makes a new id of any kind.
pub fn new<T: From<Uuid>>() -> T {
    Uuid::now_v7().into()
}

/// Makes a new id of any kind for something of a demo, or of no demo.
pub fn within<T: From<Uuid>>(demo: Option<DemoId>) -> T {
    let fresh = Uuid::now_v7();
    demo.map_or(fresh, |demo| demo.adopt(fresh)).into()
}
