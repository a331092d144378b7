//! A model's chat template, rendered as `apply_chat_template` of `transformers` does.

use std::fmt::Write;

use minijinja::{Environment, Error, ErrorKind, context};

use super::Chat;
use crate::ModelError;

const NAME: &str = "chat";

/// A compiled template with the texts of the special tokens it may use.
#[derive(Debug)]
pub(crate) struct ChatTemplate {
    environment: Environment<'static>,
    beginning: String,
    end: String,
}

impl ChatTemplate {
    /// Compiles `source`.
    pub(crate) fn new(source: &str, beginning: String, end: String) -> Result<Self, ModelError> {
        let mut environment = Environment::new();
        // `transformers` compiles templates with these two set.
        environment.set_trim_blocks(true);
        environment.set_lstrip_blocks(true);
        environment
            .set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        environment.add_function("raise_exception", raise_exception);
        environment.add_function("strftime_now", strftime_now);
        environment
            .add_template_owned(NAME, source.to_owned())
            .map_err(refused)?;
        Ok(Self {
            environment,
            beginning,
            end,
        })
    }

    /// The text of `chat`, ready for the assistant to answer if `add_generation_prompt`.
    pub(crate) fn render(
        &self,
        chat: &Chat,
        add_generation_prompt: bool,
    ) -> Result<String, ModelError> {
        let template = self.environment.get_template(NAME).map_err(refused)?;
        template
            .render(context! {
                messages => chat.messages,
                add_generation_prompt,
                bos_token => self.beginning,
                eos_token => self.end,
            })
            .map_err(refused)
    }
}

/// Templates call this to refuse a chat, for example when roles do not alternate.
fn raise_exception(message: String) -> Result<String, Error> {
    Err(Error::new(ErrorKind::InvalidOperation, message))
}

/// The local time in `strftime` notation.
fn strftime_now(format: String) -> Result<String, Error> {
    let mut text = String::new();
    match write!(text, "{}", chrono::Local::now().format(&format)) {
        Ok(()) => Ok(text),
        Err(_) => Err(Error::new(
            ErrorKind::InvalidOperation,
            format!("strftime_now does not know the format {format:?}"),
        )),
    }
}

fn refused(error: Error) -> ModelError {
    // The alternate form adds the cause; the line is of the template.
    ModelError::Template {
        detail: format!("{error:#}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(source: &str, chat: &Chat) -> Result<String, ModelError> {
        ChatTemplate::new(source, "<s>".to_owned(), "</s>".to_owned())?.render(chat, true)
    }

    #[test]
    fn templates_use_python_methods_and_special_tokens() {
        let source = "{{ bos_token }}{% for m in messages %}{{ m['role'].upper() }}:{{ m.content.strip() }}{{ eos_token }}{% endfor %}";
        assert_eq!(
            render(source, &Chat::user(" hi ")).unwrap(),
            "<s>USER:hi</s>"
        );
    }

    #[test]
    fn a_refusal_says_why() {
        let source = "{% if messages[0].role != 'system' %}{{ raise_exception('no system message') }}{% endif %}";
        let error = render(source, &Chat::user("hi")).unwrap_err().to_string();
        assert!(error.contains("no system message"), "{error}");
    }

    #[test]
    fn a_bad_time_format_is_an_error() {
        assert!(render("{{ strftime_now('%Q!') }}", &Chat::user("hi")).is_err());
        assert_eq!(
            render("{{ strftime_now('%Y')|length }}", &Chat::user("hi")).unwrap(),
            "4"
        );
    }

    #[test]
    fn a_template_that_does_not_compile_is_an_error() {
        assert!(matches!(
            render("{% for %}", &Chat::default()),
            Err(ModelError::Template { .. })
        ));
    }
}
