//! Loads a local model or one behind an API by its name.

use std::fmt;

use offmodel_models::{Chat, Model, Sampling};

use super::aliases;
use super::api_model::ApiModel;
use crate::{EvalError, LanguageModel, Reply};

/// Prefix of a name that the API resolves.
const PREFIX: &str = "api:";

/// A teacher that is loaded by name, so that one axis of a sweep can mix local models and APIs.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Teacher {
    /// A model held in memory.
    Local(Model),
    /// A model behind an API.
    Api(ApiModel),
}

impl Teacher {
    /// Loads the teacher called `name`: one of the study's models behind an API (`gpt_4.1_nano`), an
    /// alias in `OFFMODEL_API_MODELS`, or `api:NAME` with the API's own name, all at the endpoint in
    /// the environment; any other name is passed to [`Model::load`].
    ///
    /// # Errors
    /// If the environment names no endpoint, or there is no such model.
    pub fn load(name: &str) -> Result<Self, EvalError> {
        if let Some(model) = name.strip_prefix(PREFIX) {
            return Ok(Self::Api(ApiModel::from_environment(model)?));
        }
        if aliases::is_alias(name)? {
            return Ok(Self::Api(ApiModel::from_environment(name)?));
        }
        Ok(Self::Local(Model::load(name)?))
    }
}

impl From<Model> for Teacher {
    fn from(model: Model) -> Self {
        Self::Local(model)
    }
}

impl From<ApiModel> for Teacher {
    fn from(model: ApiModel) -> Self {
        Self::Api(model)
    }
}

impl LanguageModel for Teacher {
    fn name(&self) -> &str {
        match self {
            Self::Local(model) => model.name(),
            Self::Api(model) => LanguageModel::name(model),
        }
    }

    fn reply(&self, chats: &[Chat], sampling: &Sampling) -> Result<Vec<Reply>, EvalError> {
        match self {
            Self::Local(model) => model.reply(chats, sampling),
            Self::Api(model) => model.reply(chats, sampling),
        }
    }
}

impl fmt::Display for Teacher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local(model) => model.fmt(f),
            Self::Api(model) => model.fmt(f),
        }
    }
}
