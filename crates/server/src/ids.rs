//! New ids: time-ordered UUIDs (version 7), made nowhere else.

use uuid::Uuid;

/// Makes a new id of any kind.
pub fn new<T: From<Uuid>>() -> T {
    Uuid::now_v7().into()
}
