//! Outputs of a cell as messages.

use jupyter_protocol::{
    ClearOutput, DisplayData, ErrorOutput, ExecuteResult, ExecutionCount, JupyterMessageContent,
    Media, MediaType, ReplyError, Stdio, StreamContent, Transient, UpdateDisplayData,
};
use offmodel_events::{CellError, Event, MimeBundle, Stream};

/// The message for an event of the cell `execution_count`; none for events that front ends do not
/// show.
pub(crate) fn output(event: Event, execution_count: usize) -> Option<JupyterMessageContent> {
    let content = match event {
        Event::Stream { stream, text } => {
            let name = match stream {
                Stream::Stdout => Stdio::Stdout,
                Stream::Stderr => Stdio::Stderr,
            };
            StreamContent { name, text }.into()
        }
        Event::Display { data, display_id } => DisplayData {
            data: media(data),
            transient: Some(Transient { display_id }),
            ..Default::default()
        }
        .into(),
        Event::UpdateDisplay { data, display_id } => {
            UpdateDisplayData::new(media(data), &display_id).into()
        }
        Event::ClearOutput { wait } => ClearOutput { wait }.into(),
        Event::Result { data } => ExecuteResult {
            execution_count: ExecutionCount::new(execution_count),
            data: media(data),
            transient: Some(Transient::default()),
            ..Default::default()
        }
        .into(),
        _ => return None,
    };
    Some(content)
}

/// The [`error`](https://jupyter-client.readthedocs.io/en/stable/messaging.html#execution-errors)
/// message of a cell.
pub(crate) fn error_output(error: &CellError) -> JupyterMessageContent {
    let ReplyError {
        ename,
        evalue,
        traceback,
    } = reply_error(error);
    ErrorOutput {
        ename,
        evalue,
        traceback,
    }
    .into()
}

/// A cell's error as a part of the `execute_reply`.
pub(crate) fn reply_error(error: &CellError) -> ReplyError {
    ReplyError {
        ename: error.name.clone(),
        evalue: error.value.clone(),
        traceback: error.traceback.clone(),
    }
}

/// The representations of a value, passed on untouched; the typed variants of [`MediaType`] would
/// parse some of them.
pub(crate) fn media(bundle: MimeBundle) -> Media {
    Media::new(bundle.0.into_iter().map(MediaType::Other).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn wire(event: Event) -> Value {
        serde_json::to_value(output(event, 3).unwrap()).unwrap()
    }

    #[test]
    fn every_representation_reaches_the_front_end_unchanged() {
        let mut data = MimeBundle::text("a\nb").with("image/png", "iVBORw0KGgo=");
        let table = json!({ "not": "a data resource" });
        data.0
            .insert("application/vnd.dataresource+json".to_owned(), table);
        data.0.insert(
            "application/vnd.example.v1+json".to_owned(),
            json!([1, "two"]),
        );
        let expected = serde_json::to_value(&data).unwrap();
        assert_eq!(
            wire(Event::Display {
                data,
                display_id: None
            })["data"],
            expected
        );
    }

    #[test]
    fn a_result_has_its_execution_count_and_maps_that_are_never_null() {
        assert_eq!(
            wire(Event::Result {
                data: MimeBundle::text("7")
            }),
            json!({
                "execution_count": 3,
                "data": { "text/plain": "7" },
                "metadata": {},
                "transient": {},
            })
        );
    }

    #[test]
    fn a_display_with_an_id_can_be_updated() {
        let data = MimeBundle::text("10 %");
        let shown = wire(Event::Display {
            data: data.clone(),
            display_id: Some("bar".to_owned()),
        });
        let updated = wire(Event::UpdateDisplay {
            data,
            display_id: "bar".to_owned(),
        });
        assert_eq!(shown["transient"], json!({ "display_id": "bar" }));
        assert_eq!(shown, updated);
    }

    #[test]
    fn events_without_an_output_have_no_message() {
        assert!(output(Event::CellStarted { cell: 1 }, 1).is_none());
    }
}
