use deno_core::error::{CoreError, CoreErrorKind};
use deno_error::JsErrorClass;
use serde::{Serialize, Serializer};

/// How a worker has ended.
pub(crate) enum End {
    /// By `close()`, `Deno.exit()` or `terminate()`, with this exit code.
    Closed(i32),
    /// By an uncaught exception, or as its module could not be loaded.
    Failed(Failure),
}

/// The error that has ended a worker, for the `ErrorEvent` of its parent.
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

/// A pair of the kind of the event and its data: what deno_node expects, too.
impl Serialize for End {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Failed(failure) => (1, failure).serialize(serializer),
            Self::Closed(exit_code) => (3, exit_code).serialize(serializer),
        }
    }
}
