use std::sync::{Arc, OnceLock};

use openkv_engine::{Error, Result};
use tokio::runtime::{Builder, Handle, Runtime};

/// Returns the default runtime, which all databases of the process share. It has its own thread, so that they make progress while
/// their callers block, or run no event loop.
pub(crate) fn shared() -> Result<Handle> {
    static SHARED: OnceLock<Result<Runtime>> = OnceLock::new();
    let start = || {
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(1).thread_name("openkv-etcd").enable_all();
        builder.build().map_err(|error| Error::Thread(Arc::new(error)))
    };
    SHARED.get_or_init(start).as_ref().map(|runtime| runtime.handle().clone()).map_err(Clone::clone)
}
