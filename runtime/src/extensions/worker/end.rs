use deno_core::error::{CoreError, CoreErrorKind};
use deno_core::url::Url;
use deno_error::{JsErrorBox, JsErrorClass};
use serde::{Serialize, Serializer};

/// The end of a worker.
pub(crate) enum End {
    /// By `close()`, `Deno.exit()` or `terminate()`, with this exit code.
    Closed(i32),
    /// By an uncaught exception, or because its module failed to load.
    Failed(Failure),
}

/// The error that ended a worker, for the `ErrorEvent` in its parent.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Failure {
    message: String,
    /// The class of the error.
    name: Option<String>,
    /// The message without the class.
    error_message: Option<String>,
    file_name: Option<String>,
    line_number: Option<i64>,
    column_number: Option<i64>,
    exit_code: i32,
}

impl End {
    /// The end of a worker of `node:worker_threads` by an uncaught exception.
    pub fn of_node(error: &CoreError, main_module: &Url, exit_code: i32) -> Self {
        let mut end = Self::from(error);
        if let Self::Failed(failure) = &mut end {
            failure.exit_code = exit_code;
            // As in Node.js.
            if failure.message.starts_with("Module not found") {
                let path = main_module.to_file_path();
                let path = path.map_or_else(|()| main_module.to_string(), |path| path.display().to_string());
                failure.message = format!("Cannot find module '{path}'");
                failure.name = Some("Error".into());
            }
        }
        end
    }

    /// The end of a worker of `node:worker_threads` whose heap has reached its limit.
    pub fn out_of_memory() -> Self {
        let message = "Worker terminated due to reaching memory limit: JS heap out of memory";
        Self::from(&JsErrorBox::new("ERR_WORKER_OUT_OF_MEMORY", message).into())
    }
}

impl From<&CoreError> for End {
    fn from(error: &CoreError) -> Self {
        let exit_code = 1;
        Self::Failed(match error.as_kind() {
            CoreErrorKind::Js(error) => {
                let is_of_script = |file: &String| !file.starts_with("ext:");
                let frame = error.frames.iter().find(|frame| frame.file_name.as_ref().is_some_and(is_of_script));
                Failure {
                    message: error.exception_message.clone(),
                    name: error.name.clone(),
                    error_message: error.message.clone(),
                    file_name: frame.and_then(|frame| frame.file_name.clone()),
                    line_number: frame.and_then(|frame| frame.line_number),
                    column_number: frame.and_then(|frame| frame.column_number),
                    exit_code,
                }
            }
            kind => Failure {
                message: error.to_string(),
                name: if let CoreErrorKind::JsBox(error) = kind { Some(error.get_class().into()) } else { None },
                error_message: None,
                file_name: None,
                line_number: None,
                column_number: None,
                exit_code,
            },
        })
    }
}

/// Serializes the kind of the event and its data as a pair, as deno_node expects.
impl Serialize for End {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Failed(failure) => (1, failure).serialize(serializer),
            Self::Closed(exit_code) => (3, exit_code).serialize(serializer),
        }
    }
}
