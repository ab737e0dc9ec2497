//! The analysis of modules: their imports, and the exports of CommonJS modules. What was found is kept in [`Derived`].

use std::sync::Arc;

use deno_core::serde_json;
use deno_core::url::Url;
use deno_error::JsErrorBox;
use deno_graph::analysis::{ModuleAnalyzer, ModuleInfo};
use deno_graph::ast::ParserModuleAnalyzer;
use deno_resolver::cjs::analyzer::{DenoCjsAnalysis, NodeAnalysisCache, NodeAnalysisCacheSourceHash};
use openkv_js::transpile::MediaType;

use super::derived::{Derived, Kind, hash};

/// Finds the imports of the modules of a graph.
pub(super) struct ImportAnalyzer<'a> {
    pub parser: ParserModuleAnalyzer<'a>,
    pub derived: &'a Derived,
}

#[async_trait::async_trait(?Send)]
impl ModuleAnalyzer for ImportAnalyzer<'_> {
    async fn analyze(&self, module: &Url, source: Arc<str>, media_type: MediaType) -> Result<ModuleInfo, JsErrorBox> {
        let source_hash = hash(source.as_bytes(), media_type);
        let kept = self.derived.read(Kind::Imports, module, source_hash);
        if let Some(info) = kept.and_then(|kept| serde_json::from_slice(&kept).ok()) {
            return Ok(info);
        }
        let info = self.parser.analyze(module, source, media_type).await?;
        if let Ok(kept) = serde_json::to_vec(&info) {
            self.derived.write(Kind::Imports, module, source_hash, kept);
        }
        Ok(info)
    }
}

/// The exports that were found in CommonJS modules.
pub(super) struct ExportCache(pub Arc<Derived>);

impl NodeAnalysisCache for ExportCache {
    fn compute_source_hash(&self, source: &str) -> NodeAnalysisCacheSourceHash {
        NodeAnalysisCacheSourceHash(hash(source.as_bytes(), MediaType::Cjs))
    }

    fn get_cjs_analysis(&self, module: &Url, source_hash: NodeAnalysisCacheSourceHash) -> Option<DenoCjsAnalysis> {
        let kept = self.0.read(Kind::Exports, module, source_hash.0)?;
        serde_json::from_slice(&kept).ok()
    }

    fn set_cjs_analysis(&self, module: &Url, source_hash: NodeAnalysisCacheSourceHash, analysis: &DenoCjsAnalysis) {
        // That a module is an ES module may depend on its `package.json` alone, which the hash does not include. That one is a
        // CommonJS module, the loader checks first.
        if let DenoCjsAnalysis::Cjs(_) = analysis
            && let Ok(kept) = serde_json::to_vec(analysis)
        {
            self.0.write(Kind::Exports, module, source_hash.0, kept);
        }
    }
}
