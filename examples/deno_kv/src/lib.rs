//! A deno_core host with Deno's own extension for `Deno.openKv` over OpenKV's engine.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use async_trait::async_trait;
use deno_core::unsync::spawn_blocking;
use deno_core::{JsRuntime, ModuleCodeString, ModuleName, OpState, RuntimeOptions};
use deno_error::JsErrorBox;
use deno_features::FeatureChecker;
use deno_kv::{DatabaseHandler, KvConfig};
use deno_web::{BlobStore, InMemoryBroadcastChannel};
use openkv_engine::denokv::DenoKv;
use openkv_engine::sqlite::{self, Location, Options};

/// Opens the engine's databases for `deno_kv`.
pub struct OpenKv;

#[async_trait(?Send)]
impl DatabaseHandler for OpenKv {
    type DB = DenoKv;

    /// Opens the file at a path, or a database in memory. A host with permissions would first check the `PermissionsContainer` in the
    /// state.
    async fn open(&self, _state: Rc<RefCell<OpState>>, path: Option<String>) -> Result<Self::DB, JsErrorBox> {
        let location = match path {
            Some(path) if path != ":memory:" => Location::File { path: path.into(), follow_links: false },
            _ => Location::Memory,
        };
        // Opening waits for the disk, which must not block the thread of the scripts.
        let opened = spawn_blocking(move || sqlite::open(location, Options::default())).await;
        let opened = opened.map_err(|error| JsErrorBox::generic(error.to_string()))?;
        opened.map(DenoKv::new).map_err(JsErrorBox::from_err)
    }
}

/// Creates a runtime with `deno_kv` over the engine. The script `ext:deno_kv/01_db.ts` exports `openKv` and the classes.
pub fn host() -> JsRuntime {
    let transpile = |name: ModuleName, text: ModuleCodeString| {
        Ok((openkv_js::transpile::transpile_extension(&name, &text).into(), None))
    };
    let js = JsRuntime::new(RuntimeOptions {
        extensions: vec![
            deno_webidl::deno_webidl::init(),
            deno_web::deno_web::init(Arc::new(BlobStore::default()), None, false, InMemoryBroadcastChannel::default()),
            deno_kv::deno_kv::init(Box::new(OpenKv), KvConfig::builder().build()),
        ],
        extension_transpiler: Some(Rc::new(transpile)),
        ..RuntimeOptions::default()
    });
    let mut features = FeatureChecker::default();
    features.enable_feature(deno_kv::UNSTABLE_FEATURE_NAME);
    js.op_state().borrow_mut().put(Arc::new(features));
    js
}
