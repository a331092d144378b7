//! The methods of [`Model`] that generate responses.

use std::sync::Arc;

use super::handle::Generation;
use super::prompt::{Prefill, Prompt};
use super::sequence::{Request, Sequences};
use super::stopped::StoppedGeneration;
use super::{Response, Sampling};
use crate::{Chat, Model, ModelError};

impl Model {
    /// Generates one response to every chat, in order.
    ///
    /// Responses do not depend on which chats are generated together. A response is truncated where
    /// the context ends. If the last message of a chat is the assistant's, the response continues
    /// it ([`Model::render_prompt`]).
    ///
    /// # Errors
    /// When a chat leaves no room for a response in the context. [`ModelError::Stopped`] when the
    /// call is interrupted or fails later, for example because memory does not suffice for a single
    /// response: that error carries what is finished and can be continued. An error that is
    /// dropped, as by `?` in a cell, takes the work with it; to keep it in any case, create the
    /// call with [`Model::generation`] and hold on to that handle.
    pub fn generate(
        &self,
        chats: &[Chat],
        sampling: &Sampling,
    ) -> Result<Vec<Response>, ModelError> {
        self.finish_or_stop(chats.iter().map(Prompt::from), sampling)
    }

    /// Generates `count` responses to every chat. The forward pass over a chat is shared by its
    /// responses, of which the first is that of [`Model::generate`].
    ///
    /// # Errors
    /// As [`Model::generate`].
    pub fn generate_samples(
        &self,
        chats: &[Chat],
        count: usize,
        sampling: &Sampling,
    ) -> Result<Vec<Vec<Response>>, ModelError> {
        let prompts = chats.iter().map(|chat| Prompt::from(chat).samples(count));
        let mut responses = self.finish_or_stop(prompts, sampling)?.into_iter();
        let of_chat = |_| responses.by_ref().take(count).collect();
        Ok(chats.iter().map(of_chat).collect())
    }

    /// Generates a response to every chat by the handle beside it, in order and in one batch.
    ///
    /// The handles are over the same weights, with different adapters or none. Each response is the
    /// one that its handle would generate on its own.
    ///
    /// ```no_run
    /// # use offmodel_models::{Adapter, Chat, Model, ModelError, Sampling};
    /// # fn compare(base: &Model, tuned: &Adapter) -> Result<(), ModelError> {
    /// let student = base.with_adapter(tuned)?;
    /// let chat = Chat::user("What is 7 times 8?");
    /// let responses = Model::generate_together(&[(base, &chat), (&student, &chat)], &Sampling::greedy())?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Model::generate`]; also when the handles do not share their weights.
    pub fn generate_together(
        requests: &[(&Self, &Chat)],
        sampling: &Sampling,
    ) -> Result<Vec<Response>, ModelError> {
        let Some(&(first, _)) = requests.first() else {
            sampling.check()?;
            return Ok(vec![]);
        };
        let prompt = |&(model, chat): &(&Self, &Chat)| Prompt::from(chat).with_model(model);
        first.finish_or_stop(requests.iter().map(prompt), sampling)
    }

    /// Prepares responses to prompts without generating anything yet.
    ///
    /// The returned handle offers what [`Model::generate`] does not: text as it is generated,
    /// bounds on memory, and work that outlives an interrupt. Prompts may have a prefill, several
    /// samples, or another handle that responds.
    ///
    /// ```no_run
    /// # use offmodel_models::{Chat, Model, ModelError, Prompt, Sampling};
    /// # fn finish(model: &Model, half: &Chat) -> Result<(), ModelError> {
    /// let prompts = [Prompt::continuing(half), Prompt::new(Chat::user("Why?")).samples(3)];
    /// let responses = model.generation(prompts, &Sampling::temperature(1.0))?.live().finish()?;
    /// assert_eq!(responses.len(), 4);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// When an option is invalid, a prompt leaves no room for a response in the context, or a
    /// prompt's handle does not share the weights of this one.
    pub fn generation<P: Into<Prompt>>(
        &self,
        prompts: impl IntoIterator<Item = P>,
        sampling: &Sampling,
    ) -> Result<Generation, ModelError> {
        sampling.check()?;
        let prompts: Vec<Prompt> = prompts.into_iter().map(Into::into).collect();
        self.check_weights_are_shared(&prompts)?;
        let requests = self.requests(prompts, sampling)?;
        let sequences = Sequences::new(requests, sampling, self.tokenizer())?;
        Ok(Generation::new(self.clone(), sequences))
    }

    /// Generates all responses; the error of a call that ends early carries its work.
    fn finish_or_stop(
        &self,
        prompts: impl Iterator<Item = Prompt>,
        sampling: &Sampling,
    ) -> Result<Vec<Response>, ModelError> {
        let mut generation = self.generation(prompts, sampling)?;
        generation.finish().map_err(|cause| {
            let sequences = generation.into_sequences();
            let stopped = StoppedGeneration::new(cause, self.clone(), sequences);
            ModelError::Stopped(Box::new(stopped))
        })
    }

    fn check_weights_are_shared(&self, prompts: &[Prompt]) -> Result<(), ModelError> {
        for (index, prompt) in prompts.iter().enumerate() {
            let Some(other) = &prompt.model else { continue };
            if !self.shares_weights_with(other) {
                let detail = format!(
                    "chat {index} is for {}, the batch for {}: one batch needs handles over the same weights",
                    other.name(),
                    self.name()
                );
                return Err(ModelError::Adapter { detail });
            }
        }
        Ok(())
    }

    /// One request for every sample of every prompt, a prompt's samples one after another.
    fn requests(
        &self,
        prompts: Vec<Prompt>,
        sampling: &Sampling,
    ) -> Result<Vec<Request>, ModelError> {
        let mut requests = Vec::with_capacity(prompts.len());
        let texts = self.rendered(&prompts)?;
        for (index, (prompt, text)) in prompts.into_iter().zip(texts).enumerate() {
            if prompt.samples == 0 {
                return Err(ModelError::Option {
                    option: "samples",
                    found: "0".to_owned(),
                    expected: "at least 1",
                });
            }
            let mut tokens = self.tokenizer().encode(&text)?;
            let prefill = match prompt.prefill {
                Prefill::Text(text) => self.tokenizer().encode(&text)?,
                Prefill::Tokens(tokens) => tokens,
            };
            self.check_tokens(&prefill)?;
            tokens.extend(&prefill);
            let remaining = self.remaining_context(index, tokens.len())?;
            let tokens: Arc<[u32]> = tokens.into();
            let adapter = prompt.model.as_ref().unwrap_or(self).adapter();
            let position = prompt.position.map_or(index as u64, u64::from);
            requests.extend((0..prompt.samples).map(|sample| Request {
                prompt: index,
                sample,
                tokens: tokens.clone(),
                prefill: prefill.len(),
                adapter: adapter.cloned(),
                max_new_tokens: sampling.max_new_tokens.min(remaining),
                random_stream: position + ((sample as u64) << 32),
            }));
        }
        Ok(requests)
    }

    /// The text of every prompt.
    ///
    /// Prompts whose handles share a chat template are rendered in one call, because each call
    /// starts a sandboxed process.
    fn rendered(&self, prompts: &[Prompt]) -> Result<Vec<String>, ModelError> {
        let mut groups: Vec<(&Self, Vec<usize>)> = Vec::new();
        for (index, prompt) in prompts.iter().enumerate() {
            let model = prompt.model.as_ref().unwrap_or(self);
            match groups.iter_mut().find(|(other, _)| other.renders_as(model)) {
                Some((_, group)) => group.push(index),
                None => groups.push((model, vec![index])),
            }
        }
        let mut texts = vec![String::new(); prompts.len()];
        for (model, group) in groups {
            let chats: Vec<&Chat> = group.iter().map(|&index| &prompts[index].chat).collect();
            for (index, text) in group.into_iter().zip(model.render_prompts(&chats)?) {
                texts[index] = text;
            }
        }
        Ok(texts)
    }
}
